package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Rule: the command line behaves as its help says. Each script in
// testdata/script runs `portward CODE ARGS...`, which must end with that exit
// code.
func TestScripts(t *testing.T) {
	bin := binDir(t)
	// As root a root must lie where other users may go, which the default of
	// testscript does not.
	work, err := os.MkdirTemp("", "pw-script-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	if err := os.Chmod(work, 0o755); err != nil {
		t.Fatal(err)
	}
	goEnv, err := goEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		WorkdirRoot:         work,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			e.Defer(func() { l.Close() })
			e.Setenv("TAKEN", l.Addr().String())
			// Without a server's own process: the directory repo, as it is.
			site := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(e.WorkDir, "repo"))))
			e.Defer(site.Close)
			e.Setenv("SITE", site.URL)
			e.Setenv("PORTWARD", filepath.Join(bin, "portward"))
			for name, value := range goEnv {
				e.Setenv(name, value)
			}
			e.Setenv("SRC", filepath.Join(here, "..", ".."))
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"portward": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) == 0 {
					ts.Fatalf("usage: portward CODE ARGS...")
				}
				want, err := strconv.Atoi(args[0])
				if err != nil {
					ts.Fatalf("usage: portward CODE ARGS...")
				}
				got := 0
				err = ts.Exec(filepath.Join(bin, "portward"), args[1:]...)
				if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
					got = exit.ExitCode()
				} else if err != nil {
					ts.Fatalf("%v", err)
				}
				if got != want {
					ts.Fatalf("exit %d, want %d", got, want)
				}
			},
		},
	})
}

// goEnvironment is where Go keeps what it built and fetched, which a script that
// builds shares.
func goEnvironment() (env map[string]string, err error) {
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOTOOLCHAIN").Output()
	if err == nil {
		err = json.Unmarshal(out, &env)
	}
	return env, err
}
