package main

import (
	"fmt"
	"time"

	"portward/internal/evidence"
	"portward/internal/program"
	"portward/internal/status"
)

// updateJob is the name under which evidence keeps what became of releases.
const updateJob = "update"

// A history writes down what became of releases, once each, whichever process
// learned of it first.
type history struct {
	store *evidence.Store
	told  map[string]bool // by keyOf
	last  status.Payload
	log   func(string, ...any)
}

func openHistory(root string, store *evidence.Store, log func(string, ...any)) *history {
	h := &history{store: store, told: map[string]bool{}, log: log}
	list, _, err := evidence.List(program.EvidenceDir(root))
	if err != nil {
		log("history: %v", err)
	}
	for _, r := range list {
		if r.Job == updateJob {
			h.told[keyOf(r.Class, r.Text, r.Time)] = true
		}
	}
	return h
}

// see compares what is reported with what was.
func (h *history) see(p status.Payload) {
	for _, d := range p.Denied {
		h.tell("denied", fmt.Sprintf("%s (%.12s): %s", d.Version, d.Hash, d.Why), d.Time)
	}
	if h.last.Trial != nil && p.Trial == nil && p.Hash == h.last.Trial.Hash {
		h.tell("committed", fmt.Sprintf("%s (%.12s) passed its trial, instead of %s", p.Version, p.Hash, h.last.Trial.From), time.Now())
	}
	h.last = p
}

// keyOf names one event: the same may happen to a release again.
func keyOf(class, text string, at time.Time) string {
	return fmt.Sprintf("%s %d %.64s", class, at.UnixNano(), text)
}

func (h *history) tell(class, text string, at time.Time) {
	key := keyOf(class, text, at)
	if h.told[key] {
		return
	}
	h.told[key] = true
	h.log("%s: %s", class, text)
	if _, err := h.store.Add(evidence.Record{Job: updateJob, Time: at, Class: class, Text: text}, nil); err != nil {
		h.log("history: %v", err)
	}
}
