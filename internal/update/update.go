package update

import (
	"context"
	"errors"
	"time"

	"portward/internal/status"
	"portward/internal/update/pipe"
)

// ErrHandOver ends a process: the bundle at the live path is another one than
// it was started from, and its next start belongs to that one. Its text is the
// answer to whoever asked for that: the next process knows what became of it.
var ErrHandOver = errors.New("another bundle takes the place")

// A Config says where things lie and how patient the updater is.
type Config struct {
	Live         string // the installed bundle
	Dir          string // the updater's own directory, on the same file system
	RetainedSeal string // where a copy of the retained bundle's seal is kept, for everybody to read

	Repo     bool   // there is a repository; without one only trials, rollbacks and recovery happen
	Channel  string // of the repository
	Platform string // "linux-amd64"
	Machine  string // an id of this machine, for rollouts
	Boot     string // an id of this boot of the machine

	Every       time.Duration // between two checks
	TrialWindow time.Duration // how long a release must be healthy
	MaxLease    time.Duration // how long sessions may hold a release back
	Attempts    int           // starts of a supervisor on trial that are borne
	Backoff     Backoff       // between checks that fail
}

// A Backoff answers one pause after another. Run asks it from one goroutine.
type Backoff interface {
	NextBackOff() time.Duration
	Reset()
}

// Env is what an Updater asks of the world. The functions are called from Run's
// goroutine, one at a time; Report also from Open.
type Env struct {
	// Fetch starts a fetcher. ctx ends it; end waits for its end.
	Fetch func(ctx context.Context) (c *pipe.Client, end func(), err error)
	// Verify looks at the bundle at staged as the system does, where that has a
	// mind of its own about signatures, before anything of it runs. It may be nil,
	// and blames as Qualify does.
	Verify func(ctx context.Context, staged string) error
	// Qualify lets the supervisor of the bundle at staged prove that it works.
	// A *Failure in the error is the release's fault, and denies it.
	Qualify func(ctx context.Context, staged string) error
	// Rescue loads or unloads the rescue job, whose program is
	// Dir/rescue/supervisor. Both may be asked for twice.
	Rescue func(ctx context.Context, on bool) error
	// Trial watches the live bundle. Nil means healthy; a *Failure in the error
	// is the release's fault, any other error is the machine's and ends Run.
	Trial func(ctx context.Context, step TrialStep) error
	// Stop ends all processes of the bundle but this one. Demand starts them
	// again.
	Stop func(ctx context.Context) error
	// Report is told what changed. It must not block for long.
	Report func(status.Payload)
}

// A TrialStep is one of the two halves of a trial.
type TrialStep struct {
	First   bool                  // restart everything into the new bundle; otherwise wait for demand
	Window  time.Duration         // how long it must be healthy
	Healthy func(d time.Duration) // to be called about every second, with the health observed so far: the rescue job waits for it
}

// A Failure is what a release on trial did wrong.
type Failure struct {
	Class string // "crash", "hang/deadlock", "never-ready", "start-failed", "probe"
	Text  string // for people
	Doubt bool   // the machine may have done it: on trial, only the second one denies
}

func (f *Failure) Error() string { return f.Class + ": " + f.Text }

// Trust is whom the rules believe: the signed metadata of the repository.
type Trust interface {
	// Refresh brings the metadata up to date. get answers pipe.ErrSame where
	// the file still has the SHA-256 that is held.
	Refresh(now time.Time, get func(name string, max int64, held string) ([]byte, error)) (changed bool, err error)
	// Target answers what the trusted targets say of name.
	Target(name string) (t pipe.Target, ok bool)
	// Vouch answers the newest trusted root and targets metadata, as bytes to
	// be laid into a bundle.
	Vouch() (root, targets []byte)
	// Vouches says whether these targets, signed as some trusted root wants it,
	// list this seal, however long ago.
	Vouches(targets, seal []byte) error
	// Warnings says what will go wrong if nobody acts.
	Warnings(now time.Time) []string
	// Expired is an error while nothing may be installed. What runs, runs on.
	Expired(now time.Time) error
}

// A Request is what a person asks for.
type Request struct {
	ID  string
	Op  string // "check" (only look), "update" (take what the rules let), "force", "rollback", "unblock"
	Arg string // of "unblock": a seal's hash, or a version
}
