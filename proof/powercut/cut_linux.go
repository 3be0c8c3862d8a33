package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"portward/proof/crash"
	"portward/proof/medium"
	"portward/proof/subject"
)

// A trial is one content of the disk, and where it is from.
type trial struct {
	recording
	crash.State
	converge bool // go on after the next start, to the end
}

// gone: a superblock of 4 KiB is written in place by ext4 and btrfs, and torn
// between two sectors of 512 bytes it is the end of them. No updater can help
// that, so such a state is counted apart.
const gone = "(fs gone)"

// tearsBlock says whether a part of a 4 KiB block was written.
func (t trial) tearsBlock() bool {
	if t.Torn == nil {
		return false
	}
	off := t.log[t.Torn.Record].Off
	return (off+int64(t.Torn.From))%medium.BlockSize != 0 || (off+int64(t.Torn.To))%medium.BlockSize != 0
}

// cut records the subject once and tries about want states of it, a quarter of
// which are power cuts during the next start after a power cut.
func (b *bench) cut(name string, s subject.Subject, want int, limit time.Duration) (report, error) {
	began := time.Now()
	r, err := b.record(s, subject.Careless(name))
	if err != nil {
		return report{}, fmt.Errorf("%s, %s: %w", b.kind.Name, name, err)
	}
	deadline := time.Now().Add(limit)
	var trials []trial
	for i, st := range b.states(r, want-want/4) {
		trials = append(trials, trial{r, st, i%8 == 0})
	}
	starts := &starts{every: max(1, len(trials)/64)}
	t := b.replay(trials, s, deadline.Add(-limit/4), starts)
	inner := b.inner(starts.list, want/4)
	t.merge(b.replay(inner, s, deadline, nil))
	return report{b.kind.Name, name, len(trials) + len(inner), t, time.Since(began)}, nil
}

func (b *bench) states(r recording, want int) []crash.State {
	return crash.States(r.base, r.log, crash.Options{Sector: b.sector, All: 6, Want: want, Seed: b.seed})
}

// starts keeps some recordings of what a next start did, with the state that it
// began in.
type starts struct {
	every int

	mu   sync.Mutex
	seen int
	list []trial
}

func (k *starts) keep(t trial, log []medium.Record) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seen++; k.seen%k.every == 0 {
		base := t.Image(t.base, t.log)
		k.list = append(k.list, trial{recording{base, log}, crash.State{Promise: t.Promise}, false})
	}
}

// inner lists power cuts during recorded starts, want in all, spread over them.
func (b *bench) inner(starts []trial, want int) []trial {
	var list []trial
	for i, one := range starts {
		share := (want - len(list)) / (len(starts) - i)
		states := crash.States(one.base, one.log, crash.Options{Sector: b.sector, All: 3})
		rng := rand.New(rand.NewPCG(b.seed, uint64(i)))
		for _, j := range rng.Perm(len(states))[:min(share, len(states))] {
			st := states[j]
			st.Promise = one.Promise
			list = append(list, trial{one.recording, st, false})
		}
	}
	return list
}

// replay tries trials in a random order, on all drives.
func (b *bench) replay(trials []trial, s subject.Subject, deadline time.Time, starts *starts) tally {
	rng := rand.New(rand.NewPCG(b.seed, 2))
	rng.Shuffle(len(trials), func(i, j int) { trials[i], trials[j] = trials[j], trials[i] })
	return pool(b.drives, trials, deadline, func(d *medium.Drive, t trial) (string, error) {
		which, err := b.try(d, t, s)
		if starts != nil && err == nil && which != gone && !t.converge {
			starts.keep(t, d.Log())
		}
		return which, err
	})
}

// try mounts one trial and looks.
func (b *bench) try(d *medium.Drive, t trial, s subject.Subject) (which string, err error) {
	d.Load(t.Image(t.base, t.log))
	if err := d.Mount(); err != nil && t.tearsBlock() {
		return gone, nil
	} else if err != nil {
		return "", fmt.Errorf("%w: %w", errMount, err)
	}
	defer func() { err = errors.Join(err, d.Unmount(), d.Sound()) }()
	which, err = b.fixture.Check(d.Root(), s, t.Promise)
	if err == nil && t.converge {
		err = b.fixture.Converge(d.Root(), s)
	}
	return which, err
}
