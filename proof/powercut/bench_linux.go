package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"portward/proof/medium"
	"portward/proof/subject"
)

// A bench is some drives of one kind, and what is tried on them.
type bench struct {
	kind    medium.FS
	fixture *subject.Fixture
	drives  []*medium.Drive
	sector  int
	seed    uint64
}

func newBench(dir string, kind medium.FS, f *subject.Fixture, o options) (*bench, error) {
	b := &bench{kind: kind, fixture: f, sector: o.sector, seed: o.seed}
	for i := range o.workers {
		sub := filepath.Join(dir, fmt.Sprintf("%s-%d", kind.Name, i))
		if err := os.Mkdir(sub, 0o755); err != nil {
			return nil, errors.Join(err, b.close())
		}
		d, err := medium.Open(sub, kind.Size)
		if err != nil {
			return nil, errors.Join(err, b.close())
		}
		b.drives = append(b.drives, d)
		if err := d.Format(kind); err != nil {
			return nil, errors.Join(err, b.close())
		}
	}
	return b, nil
}

func (b *bench) close() error {
	var errs []error
	for _, d := range b.drives {
		errs = append(errs, d.Close())
	}
	return errors.Join(errs...)
}

// A recording is a disk before a subject acted, and all it was asked since.
type recording struct {
	base *medium.Image
	log  []medium.Record
}

// record lets the subject act once, from its first step to the unmounting. Slow:
// the file system is given the time to write by itself what nobody synced.
func (b *bench) record(s subject.Subject, slow bool) (recording, error) {
	d := b.drives[0]
	base, err := b.prepare(d, s)
	if err != nil {
		return recording{}, fmt.Errorf("preparing: %w", err)
	}
	d.Load(base)
	var options []string
	if slow {
		options = b.kind.Hasty()
	}
	if err := d.Mount(options...); err != nil {
		return recording{}, err
	}
	err = s.Act(d.Root(), d.Mark)
	if len(options) > 0 && err == nil {
		awaitCommit(d.Medium)
	}
	if err := errors.Join(err, d.Unmount()); err != nil {
		return recording{}, fmt.Errorf("acting: %w", err)
	}
	return recording{base, d.Log()}, d.Sound()
}

func (b *bench) prepare(d *medium.Drive, s subject.Subject) (*medium.Image, error) {
	if err := d.Format(b.kind); err != nil {
		return nil, err
	}
	if err := d.Mount(); err != nil {
		return nil, err
	}
	err := errors.Join(s.Prepare(d.Root()), d.Unmount())
	return d.Image(), err
}

// awaitCommit waits for the file system to flush by itself.
func awaitCommit(m *medium.Medium) {
	before, deadline := m.Flushes(), time.Now().Add(6*time.Second)
	for m.Flushes() < before+2 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
}
