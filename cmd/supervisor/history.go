package main

import (
	"fmt"
	"slices"
	"time"

	"portward/internal/evidence"
	"portward/internal/status"
)

// updateJob is the name under which evidence keeps what became of releases.
const updateJob = "update"

// A history writes down what became of releases, once each, whichever process
// learned of it first.
type history struct {
	store *evidence.Store
	last  status.Payload
	log   func(string, ...any)
}

// see compares what is reported with what was.
func (h *history) see(p status.Payload) {
	for _, d := range p.Denied {
		if !slices.Contains(h.last.Denied, d) {
			h.tell("denied", fmt.Sprintf("%s (%.12s): %s", d.Version, d.Hash, d.Why), d.Time)
		}
	}
	if h.last.Trial != nil && p.Trial == nil && p.Hash == h.last.Trial.Hash {
		h.tell("committed", fmt.Sprintf("%s (%.12s) passed its trial, instead of %s", p.Version, p.Hash, h.last.Trial.From), time.Now())
	}
	h.last = p
}

// tell writes down one event, unless an earlier process did. The same may happen
// to a release again, at another time.
func (h *history) tell(class, text string, at time.Time) {
	list, _ := h.store.List()
	if slices.ContainsFunc(list, func(r evidence.Record) bool {
		return r.Job == updateJob && r.Class == class && r.Text == text && r.Time.Equal(at)
	}) {
		return
	}
	h.log("%s: %s", class, text)
	if _, err := h.store.Add(evidence.Record{Job: updateJob, Time: at, Class: class, Text: text}, nil); err != nil {
		h.log("history: %v", err)
	}
}
