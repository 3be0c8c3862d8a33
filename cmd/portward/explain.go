package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"portward/internal/evidence"
	"portward/internal/jobs"
	"portward/internal/program"
)

const explainUsage = `usage: portward explain [--root DIR]

Tells why each process of the running up, or of the one that ran there last,
ended, and what became of releases: when, which life, the verdict, and where
the evidence is. What was dropped because the evidence has a bound is counted.
`

// seenDir is where `up` itself keeps what the engine saw: every end of every
// job. The supervisor's verdicts on netchild lie in program.EvidenceDir.
func seenDir(root string) string { return filepath.Join(root, "seen") }

// remember writes every end of every job down, and shows it. The returned
// function waits for the last one; the engine must be closed by then.
func (w *world) remember() (wait func(), err error) {
	if w.seen, err = evidence.Open(seenDir(w.o.root), evidence.Limits{}); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	events, err := w.engine.Watch(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		begun := map[jobs.Target]time.Time{}
		for ev := range events {
			if line := tell(ev); line != "" {
				w.show.note("%s", line)
			}
			switch ev.Kind {
			case jobs.Started:
				begun[ev.Target] = ev.Time
			case jobs.Exited, jobs.StartFailed:
				w.lent.broken(ev.Target.Session())
				w.see(ev, begun[ev.Target])
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

// see writes one end down.
func (w *world) see(ev jobs.Event, begun time.Time) {
	r := evidence.Record{
		Job: string(ev.Target), Life: ev.Life, Time: ev.Time, Class: "ended", Text: ev.Exit.String(), Exit: ev.Exit.String(),
	}
	if ev.Kind == jobs.StartFailed {
		r.Class, r.Text, r.Exit = "start-failed", ev.Err, ""
	} else {
		r.Uptime = ev.Time.Sub(begun)
	}
	if _, err := w.seen.Add(r, nil); err != nil {
		w.show.say("evidence: %v", err)
	}
}

func explain(args []string) (int, error) {
	fs := newFlags("explain", explainUsage)
	if err := parse(fs, args, explainUsage); err != nil {
		return program.ExitUsage, err
	}
	if fs.NArg() > 0 {
		return program.ExitUsage, fmt.Errorf("explain takes no argument %q", fs.Arg(0))
	}
	root, err := resolveRoot(fs.Lookup("root").Value.String())
	if err != nil {
		return program.ExitUsage, err
	}
	if _, err := os.Stat(filepath.Join(root, marker)); err != nil {
		return program.ExitAgain, fmt.Errorf("nothing ran on %s: %w\nhint: say where it ran with --root DIR", root, err)
	}
	return program.ExitOK, explainTo(os.Stdout, root)
}

// explainTo tells what both stores hold. For netchild the supervisor's verdict
// takes the place of what the engine saw of the same life.
func explainTo(out io.Writer, root string) error {
	seen, seenDropped, err := evidence.List(seenDir(root))
	if err != nil {
		return err
	}
	judged, judgedDropped, err := evidence.List(program.EvidenceDir(root))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, r := range mergeEnds(seen, judged) {
		if r.Job == "update" { // a release, and no process
			fmt.Fprintf(out, "%s  release %s: %s\n", r.Time.Local().Format("2006-01-02 15:04:05.000"), r.Class, r.Text)
			continue
		}
		fmt.Fprintf(out, "%s  %s life %d, after %v: %s: %s\n", r.Time.Local().Format("2006-01-02 15:04:05.000"), r.Job, r.Life, r.Uptime.Round(time.Millisecond), r.Class, r.Text)
		fmt.Fprintf(out, "    evidence: %s\n", evidenceOf(root, r))
	}
	if len(seen)+len(judged) == 0 {
		fmt.Fprintln(out, "no process has ended")
	}
	for _, x := range []struct {
		of string
		d  evidence.Dropped
	}{{"ends", seenDropped}, {"verdicts", judgedDropped}} {
		if d := x.d; d != (evidence.Dropped{}) {
			fmt.Fprintf(out, "dropped to stay within the bound on %s: %d records, %d files, %d bytes; %d lines were torn\n", x.of, d.Records, d.Blobs, d.Bytes, d.Torn)
		}
	}
	return nil
}

// mergeEnds puts the verdicts in place of the ends they are about.
func mergeEnds(seen, judged []evidence.Record) []evidence.Record {
	type key struct {
		job  string
		life uint64
	}
	verdicts := map[key]bool{}
	for _, r := range judged {
		verdicts[key{r.Job, r.Life}] = true
	}
	all := slices.Clone(judged)
	for _, r := range seen {
		if !verdicts[key{r.Job, r.Life}] {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b evidence.Record) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Life, b.Life))
	})
	return all
}

// evidenceOf says where to look.
func evidenceOf(root string, r evidence.Record) string {
	if r.Blob != "" {
		return r.Blob
	}
	t := jobs.Target(r.Job)
	switch {
	case t.Session() != "":
		return logPath(root, t)
	case t == supervisorTarget:
		return filepath.Join(root, "log", "supervisor.log")
	}
	return filepath.Join(root, "log", "netchild.log")
}
