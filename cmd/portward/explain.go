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
				delete(begun, ev.Target) // launchd's engine may see the next life's end alone
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
	} else if !begun.IsZero() {
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
	if _, err := os.Stat(filepath.Join(root, marker)); errors.Is(err, os.ErrPermission) {
		return program.ExitAgain, somebodyElses(root, err)
	} else if err != nil {
		return program.ExitAgain, fmt.Errorf("nothing ran on %s: %w\nhint: say where it ran with --root DIR", root, err)
	}
	err = explainTo(os.Stdout, root)
	if errors.Is(err, os.ErrPermission) {
		return program.ExitAgain, somebodyElses(root, err)
	}
	return program.ExitOK, err
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
		if r.Job == releases { // and no process
			fmt.Fprintf(out, "%s  release %s: %s\n", r.Time.Local().Format("2006-01-02 15:04:05.000"), r.Class, r.Text)
			continue
		}
		fmt.Fprintf(out, "%s  %s life %d, after %v: %s\n", r.Time.Local().Format("2006-01-02 15:04:05.000"), r.Job, r.Life, r.Uptime.Round(time.Millisecond), inWords(r))
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

// mergeEnds puts the verdicts in place of the ends they are about, each at the
// time and after the uptime that the engine saw: a verdict may come later. The
// ends of a job come in the order of its lives.
func mergeEnds(seen, judged []evidence.Record) []evidence.Record {
	type key struct {
		job  string
		life uint64
	}
	verdicts := map[key]int{}
	all := slices.Clone(judged)
	for i, r := range all {
		if r.Job != releases {
			verdicts[key{r.Job, r.Life}] = i
		}
	}
	for _, r := range seen {
		if i, ok := verdicts[key{r.Job, r.Life}]; ok {
			all[i].Time, all[i].Uptime = r.Time, cmp.Or(r.Uptime, all[i].Uptime)
		} else {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b evidence.Record) int { return cmp.Compare(a.Life, b.Life) })
	latest := map[string]time.Time{}
	for i, r := range all {
		if r.Job != releases && r.Time.Before(latest[r.Job]) { // of a verdict whose end was not seen
			all[i].Time = latest[r.Job]
		}
		latest[r.Job] = all[i].Time
	}
	slices.SortStableFunc(all, func(a, b evidence.Record) int { return a.Time.Compare(b.Time) })
	return all
}

// inWords says how a process ended: the class, which docs/processes.md lists, and
// what is known beyond it.
func inWords(r evidence.Record) string {
	switch {
	case r.Class == "ended":
		return r.Class + ": " + exitInWords(jobs.Target(r.Job), r.Text)
	case r.Class == "asked" && r.Text == "asked to restart":
		return "asked: to restart, for the trial of a release"
	case r.Class == "asked" && r.Text == "stopping":
		return "asked: to stop"
	}
	return r.Class + ": " + r.Text
}

// exitInWords says what an exit means that has a meaning.
func exitInWords(t jobs.Target, exit string) string {
	if t == supervisorTarget && exit == fmt.Sprintf("exit %d", program.ExitAgain) {
		return "handed over to another bundle (" + exit + ")"
	}
	return exit
}

// evidenceOf says where to look.
func evidenceOf(root string, r evidence.Record) string {
	if r.Blob != "" {
		return r.Blob
	}
	t := jobs.Target(r.Job)
	if t.Session() != "" {
		return logPath(root, t)
	}
	return filepath.Join(root, "log", nickname(t)+".log") // as the plists say
}
