// Package program knows what programs of the bundle have in common: when one starts
// it takes what it inherited, learns its root and its life, and where its engine, its
// peers and its sockets are on this system; it hears that it shall stop. It knows the
// children that one starts itself, by what signature peers are known and code is
// judged, the names that jobs have here, who is logged in, and the machine's and the
// boot's ids. It must never know what the program is for.
package program

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portward/internal/bundle"
	"portward/internal/jobs"
	"portward/launchd"
)

// Exit codes, sysexits(3).
const (
	ExitOK       = 0
	ExitUsage    = 64
	ExitInternal = 70
	ExitAgain    = 75
	ExitConfig   = 78
)

// A Program is what was inherited.
type Program struct {
	Root    string // the product's directory
	Life    uint64 // this attempt's number; 0 where the engine tells none
	Session string // the login, in a login's domain
	Target  string // how the engine calls this job
	Files   map[string]*os.File
	Build   string // of the running code

	suffix string            // of names: see Name
	peers  map[string]string // what is required of them, by identifier
	team   string            // whose signature this program has
}

// Start takes what was inherited, and learns by what signature the programs of
// these identifiers are known, where the system asks for one: it is an error
// that one of them cannot be. It may be called once.
func Start(peers ...string) (*Program, error) {
	p := &Program{
		Root:    os.Getenv(launchd.RootVariable),
		Session: cmp.Or(os.Getenv(jobs.SessionVariable), ownSession()),
		Target:  os.Getenv(jobs.TargetVariable),
		Build:   Build(),
		suffix:  os.Getenv(NamesVariable),
	}
	if p.Root == "" || !filepath.IsAbs(p.Root) {
		return nil, fmt.Errorf("PORTWARD_ROOT is %q, want an absolute path\nhint: this program is started by its job engine; `portward up` runs one", p.Root)
	}
	if err := checkSuffix(p.suffix); err != nil {
		return nil, err
	}
	if s := os.Getenv(jobs.LifeVariable); s != "" {
		life, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("PORTWARD_LIFE: %w", err)
		}
		p.Life = life
	}
	files, err := jobs.Inherited()
	if err != nil {
		return nil, err
	}
	p.Files = files
	return p, p.learnPeers(peers)
}

// Context ends when the program shall stop: SIGTERM, SIGINT, or an engine that
// is gone.
func (p *Program) Context() (context.Context, context.CancelFunc) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	if f := p.Files[jobs.Lifeline]; f != nil {
		go func() {
			io.Copy(io.Discard, f)
			cancel()
		}()
	}
	return ctx, cancel
}

// RunDir is where services' sockets lie.
func RunDir(root string) string { return filepath.Join(root, "run") }

// PrivateDir is a job's own directory, which nobody else may enter.
func PrivateDir(root, target string) string {
	return filepath.Join(root, "private", strings.ReplaceAll(target, "/", "."))
}

// StatusPath is where the supervisor publishes its status.
func StatusPath(root string) string { return filepath.Join(root, "status", "status.json") }

// EvidenceDir is where the supervisor keeps what it saw of deaths.
func EvidenceDir(root string) string { return filepath.Join(root, "evidence") }

// StateDir is netchild's own directory.
func StateDir(root string) string { return filepath.Join(root, "state", "netchild") }

// UpdateDir is the updater's own: its journal, the trusted metadata, and the
// bundles that are not installed. Only root can enter.
func UpdateDir(root string) string { return filepath.Join(root, "update") }

// RequestDir is where root's requests to the supervisor are laid.
func RequestDir(root string) string { return filepath.Join(root, "requests") }

// FetchDir is the fetcher's own: a cache, of which nothing is believed.
func FetchDir(root string) string { return filepath.Join(root, "fetch") }

// CAPath is where a copy of the authorities lies that the fetcher trusts.
func CAPath(root string) string { return filepath.Join(root, "etc", "ca.pem") }

// RetainedSeal is a copy of the seal of the bundle that was replaced, for as
// long as that is retained: its programs may still run. Everybody may read it.
func RetainedSeal(root string) string { return filepath.Join(root, "retained", "seal.json") }

// BundleDir is where the installed bundle lies.
func BundleDir(root string) string { return filepath.Join(root, bundle.Name) }

// Build names the running code: the revision it was built from, or "devel".
func Build() string {
	bi, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	for _, s := range bi.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	if v := bi.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return "devel"
}

// Built is the earliest time that it can be: when the running code was committed,
// or, where the build does not say, the day this was written. No clock is right
// that is behind it.
func Built() time.Time {
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil && s.Key == "vcs.time" {
				return t
			}
		}
	}
	return time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
}

// Main runs body and answers the exit code, with the error on stderr.
func Main(name string, body func() (int, error)) int {
	code, err := body()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		if code == ExitOK {
			code = ExitInternal
		}
	}
	return code
}

// Deadline ends the program hard when its orderly stop takes too long: all
// stacks, then exit. It returns at once.
func Deadline(d time.Duration) {
	time.AfterFunc(d, func() {
		debug.SetTraceback("all")
		panic(fmt.Sprintf("the orderly stop took longer than %v", d))
	})
}
