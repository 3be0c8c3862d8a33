package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// buildLimit is how long one build may take.
const buildLimit = 5 * time.Minute

// An Env is what a run stands on. Copies share what is built.
type Env struct {
	Work  string // scratch directory, removed by Close; short enough for socket paths
	Root  string // the repository's root
	Print func(format string, args ...any)

	built *builds
}

// builds are the programs made so far; each is made once.
type builds struct {
	mu   sync.Mutex
	made map[string]made
}

type made struct {
	path string
	err  error
}

// NewEnv makes the scratch directory and finds the repository above the working
// directory. The caller closes it.
func NewEnv(print func(format string, args ...any)) (Env, error) {
	root, err := findRoot()
	if err != nil {
		return Env{}, err
	}
	work, err := os.MkdirTemp("", "pwbench")
	if err != nil {
		return Env{}, err
	}
	// Peers that give up root must still reach what lies inside.
	if err := os.Chmod(work, 0o755); err != nil {
		return Env{}, errors.Join(err, os.RemoveAll(work))
	}
	return Env{Work: work, Root: root, Print: print, built: &builds{made: map[string]made{}}}, nil
}

// Close removes the scratch directory.
func (e Env) Close() error { return os.RemoveAll(e.Work) }

// Dir makes a new directory below Work, for the state of one case.
func (e Env) Dir(name string) (string, error) {
	dir, err := os.MkdirTemp(e.Work, name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// Floor answers the program built from bench/floor/NAME.c with gcc -O2, static.
// It is built when it is first asked for. Without gcc the asker is absent.
func (e Env) Floor(name string) (string, error) {
	return e.once("floor/"+name, func(out string) error {
		if _, err := exec.LookPath("gcc"); err != nil {
			return Absent("no gcc (Debian package gcc)")
		}
		source := filepath.Join(e.Root, "bench", "floor", name+".c")
		return e.run(e.Root, nil, "gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-static", "-pthread", "-o", out, source)
	})
}

// Portward answers a directory with the product's programs, built as a release
// builds them: without cgo and stripped.
func (e Env) Portward() (string, error) {
	return e.once("portward", func(out string) error {
		return e.goBuild(e.Root, out+string(filepath.Separator), "./cmd/...")
	})
}

// Program answers a program of the bench module, built as Portward's are.
// pkg is its directory below bench, as "supervise/engine".
func (e Env) Program(pkg string) (string, error) {
	return e.once("program/"+pkg, func(out string) error {
		return e.goBuild(filepath.Join(e.Root, "bench"), out, "./"+pkg)
	})
}

func (e Env) goBuild(dir, out, pkg string) error {
	return e.run(dir, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg)
}

// once runs make for a name's first asker; all others get what that one got.
func (e Env) once(name string, make func(out string) error) (string, error) {
	e.built.mu.Lock()
	defer e.built.mu.Unlock()
	if m, ok := e.built.made[name]; ok {
		return m.path, m.err
	}
	out := filepath.Join(e.Work, "bin", name)
	err := os.MkdirAll(filepath.Dir(out), 0o755)
	if err == nil {
		err = make(out)
	}
	e.built.made[name] = made{out, err}
	return out, err
}

// run runs one tool in dir; what it printed is part of the error.
func (e Env) run(dir string, env []string, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), buildLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// findRoot answers the nearest directory above whose go.mod is the product's.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		text, _ := os.ReadFile(filepath.Join(dir, "go.mod"))
		if strings.HasPrefix(string(text), "module portward\n") {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("not inside a clone of the repository")
		}
	}
	return "", err
}
