package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"portward/internal/bundle"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/launchd"
)

// A host keeps the jobs of an `up`, and knows what they need for it.
type host interface {
	// sweep ends what an `up` left here that was killed, and says whether this one
	// can be.
	sweep(ctx context.Context) error
	// settle makes of the bundle, as it was built, one that runs here.
	settle(seal *bundle.Seal) (*bundle.Seal, error)
	// open answers the engine, when everything under the root is there.
	open() (engine, error)
	// plist answers the file of a job.
	plist(label string) string
	// people answers the accounts and the logins.
	people() (people, error)
	// count begins to count a login's frames; errors.ErrUnsupported where it cannot.
	count(session string) error
	// sessions answers what is known of the logins' frames; list are the jobs.
	sessions(ctx context.Context, list []jobs.State) []sessionView
	// faults is who makes jobs fail.
	faults() faulter
}

// An engine is a jobs.Engine with logins, which ends with this process.
type engine interface {
	jobs.Engine
	Login(s jobs.Session) error
	Close(ctx context.Context) error // and every job
}

// An embeddedHost has the jobs kept by this process.
type embeddedHost struct{ w *world }

func (h embeddedHost) sweep(context.Context) error { return nil } // its jobs died with it

func asBuilt(seal *bundle.Seal) (*bundle.Seal, error) { return seal, nil }

func (h embeddedHost) settle(seal *bundle.Seal) (*bundle.Seal, error) { return asBuilt(seal) }

func (h embeddedHost) people() (people, error) { return newPeople(h.w.o.sessions) }

func (h embeddedHost) count(session string) error { return h.w.lent.counters(session) }

func (h embeddedHost) sessions(context.Context, []jobs.State) []sessionView { return h.w.counted() }

func (h embeddedHost) faults() faulter { return h.w.lent }

func (h embeddedHost) plist(label string) string {
	l := bundle.Layout(program.BundleDir(h.w.o.root))
	if label == launchd.GUIAgent {
		return filepath.Join(l.LaunchAgents(), label+".plist")
	}
	return filepath.Join(l.LaunchDaemons(), label+".plist")
}

func (h embeddedHost) open() (engine, error) {
	w, root := h.w, h.w.o.root
	e, err := jobs.NewEmbedded(jobs.Options{
		Prefix: launchd.Prefix, Root: root, RunDir: program.RunDir(root),
		BindService: func(name string) (*os.File, error) {
			return w.bind(name)
		},
		SocketAddr: func(jobs.Target, string, string) string { return w.viewer },
		Users:      w.people.account,
		Descriptors: func(t jobs.Target, life uint64) ([]jobs.NamedFile, error) {
			return w.lent.descriptors(t, w.engine)
		},
		ErrorPath: func(t jobs.Target) string { return logPath(root, t) },
		Environ:   environ(),
		StopLast:  []string{launchd.NetChild, launchd.Supervisor},
		Log:       w.show.note,
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// environ is what every job starts from: nothing of the caller's.
func environ() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "GOTRACEBACK=all"}
}

// logPath is where a job's standard error goes that its plist sends nowhere.
func logPath(root string, t jobs.Target) string {
	return filepath.Join(root, "log", strings.ReplaceAll(string(t), "/", ".")+".log")
}
