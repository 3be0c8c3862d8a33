package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"portward/proof/medium"
	"portward/proof/subject"
)

// run tries everything that o asks for, prints a line each, and fails if there
// was a fault, or if a control had none.
func run(dir string, o options) error {
	began := time.Now()
	fmt.Printf("seed %d\n", o.seed)
	fixtureDir := filepath.Join(dir, "fixture")
	if err := os.Mkdir(fixtureDir, 0o755); err != nil {
		return err
	}
	f, err := subject.Make(fixtureDir)
	if err != nil {
		return err
	}
	l := &ledger{}
	for _, kind := range o.kinds {
		if err := l.onDisks(dir, kind, f, o); err != nil {
			return err
		}
	}
	w := ward{dir, fixtureDir, f, o.seed, o.workers, injuries}
	for _, name := range o.injured {
		if err := l.injured(w, name, o.limit); err != nil {
			return err
		}
	}
	fmt.Printf("%d states after power cuts, %d processes and machines with errors, %d faults, %.0f s\n",
		l.cuts, l.ills, l.bad, time.Since(began).Seconds())
	if l.bad > 0 {
		return fmt.Errorf("%d faults", l.bad)
	}
	return nil
}

// A ledger is what was tried so far.
type ledger struct{ cuts, ills, bad int }

func (l *ledger) onDisks(dir string, kind medium.FS, f *subject.Fixture, o options) (err error) {
	b, err := newBench(dir, kind, f, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if o.controls {
		if err := b.controls(o); err != nil {
			return err
		}
	}
	for _, name := range o.subjects {
		s, err := f.Named(name)
		if err != nil {
			return err
		}
		r, err := b.cut(name, s, o.states, o.limit)
		if err != nil {
			return err
		}
		l.cuts += r.tally.tried
		l.enter(r)
	}
	for _, name := range o.injured {
		if err := l.ill(b, name, o.limit); err != nil {
			return err
		}
	}
	return nil
}

// controls show that what must not survive is seen not to.
func (b *bench) controls(o options) error {
	for _, name := range slices.Sorted(maps.Keys(subject.Controls)) {
		s, err := b.fixture.Named(name)
		if err != nil {
			return err
		}
		r, err := b.cut(name, s, o.states/4, o.limit)
		if err != nil {
			return err
		}
		fmt.Printf("%v (control)\n", r)
		if want := faultName(subject.Controls[name]); r.tally.found[want] == 0 {
			return fmt.Errorf("%s on %s shows nothing %s: this proves nothing", name, b.kind.Name, want)
		}
	}
	return nil
}

func (l *ledger) ill(b *bench, name string, limit time.Duration) error {
	s, err := b.fixture.Named(name)
	if err != nil {
		return err
	}
	b.fixture.Patience = patience
	defer func() { b.fixture.Patience = time.Minute }()
	reports, err := b.ail(name, s, limit)
	l.enterAll(reports)
	return err
}

func (l *ledger) injured(w ward, name string, limit time.Duration) error {
	s, err := w.fixture.Named(name)
	if err != nil {
		return err
	}
	reports, err := w.injure(name, s, limit)
	l.enterAll(reports)
	return err
}

func (l *ledger) enterAll(reports []report) {
	for _, r := range reports {
		l.ills += r.tally.tried
		l.enter(r)
	}
}

func (l *ledger) enter(r report) {
	l.bad += r.tally.bad()
	fmt.Println(r)
	for _, words := range r.tally.words {
		fmt.Println("        ", words)
	}
}
