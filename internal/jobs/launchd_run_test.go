package jobs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// standIn is this program under the name of launchctl: TestMain plays it.
func standIn(t testing.TB) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "launchctl")
	if err := os.Symlink(exe, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Rule: launchctl gets its arguments as they are and an environment with PATH
// alone; its code comes back, and so does the beginning of what it says.
func TestLaunchctlRun(t *testing.T) {
	c := launchctl{standIn(t), time.Minute}
	a, err := c.run(t.Context(), "play", "say", "$HOME `x` *")
	if err != nil || a.code != 0 || a.stdout != "$HOME `x` *\n/\n"+launchctlPath+"\n" {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = c.run(t.Context(), "play", "exit", "113")
	if err != nil || a.code != 113 || a.stderr != "ended with 113\n" {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = c.run(t.Context(), "play", "flood")
	if err != nil || len(a.stdout) != launchctlOutput || len(a.stderr) != launchctlOutput {
		t.Errorf("%d, %d bytes, %v", len(a.stdout), len(a.stderr), err)
	}
}

// Rule: a launchctl that hangs, is killed or is not there has no code: it is an
// error, never an answer.
func TestLaunchctlFails(t *testing.T) {
	c := launchctl{standIn(t), time.Minute}
	if a, err := c.run(t.Context(), "play", "die"); err == nil {
		t.Errorf("killed: %+v", a)
	}
	hurry := launchctl{c.path, 100 * time.Millisecond}
	if a, err := hurry.run(t.Context(), "play", "hang"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "launchctl play") {
		t.Errorf("hanging: %+v, %v", a, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if a, err := c.run(ctx, "play", "hang"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %+v, %v", a, err)
	}
	if a, err := (launchctl{"/none/launchctl", time.Minute}).run(t.Context(), "list"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not there: %+v, %v", a, err)
	}
	for _, path := range []string{"/none/launchctl", ".", "/", "/etc/passwd"} {
		if _, err := NewLaunchd(LaunchdOptions{Launchctl: path}); err == nil {
			t.Errorf("an engine over %s", path)
		}
	}
	if l, err := NewLaunchd(LaunchdOptions{Launchctl: c.path}); err == nil {
		l.Close()
		t.Error("an engine of the machine that nobody tells of its logins")
	}
}

// recorded is output of `launchctl list LABEL` as Macs give it.
const recorded = `{
	"StandardOutPath" = "/var/log/x.log";
	"LimitLoadToSessionType" = "Aqua";
	"MachServices" = {
		"PID" = 99;
		"dev.example" = mach-port-object;
	};
	"Label" = "dev.example";
	"OnDemand" = false;
	"LastExitStatus" = 19200;
	"PID" = 4242;
	"Program" = "/x/LastExitStatus" = 3;
	"ProgramArguments" = (
		"/x/y";
		"PID" = 5;
	);
};
`

// Rule: two numbers are read, where they stand, and nothing else; what is not
// there, or no number of that kind, is unknown.
func TestParseListing(t *testing.T) {
	l := parseListing(recorded)
	if l.pid != 4242 || l.last == nil || *l.last != (Exit{Code: 75}) {
		t.Errorf("recorded: %+v", l)
	}
	for text, want := range map[string]Exit{
		"\t\"LastExitStatus\" = 9;\n": {Signal: 9}, "\t\"LastExitStatus\" = 15;": {Signal: 15}, "\t\"LastExitStatus\" = 134;\r\n": {Signal: 6},
		"\t\"LastExitStatus\" = 256;\n": {Code: 1}, "\t\"LastExitStatus\" = 65280;\n": {Code: 255},
	} {
		if l := parseListing(text); l.last == nil || *l.last != want {
			t.Errorf("%q: %+v, want %+v", text, l.last, want)
		}
	}
	for _, text := range []string{
		"", "{\n};\n", "\t\"PID\" = 0;\n", "\t\"PID\" = -5;\n", "\t\"PID\" = 99999999999999999999;\n", "\t\"PID\" = 4294967297;\n",
		"\t\"PID\" = \"7\";\n", "PID = 7;\n", "\t\t\"PID\" = 7;\n", "\t\"PID\" = 7 8;\n", "\t\"LastExitStatus\" = 0;\n", "\t\"LastExitStatus\" = -9;\n",
		"\t\"LastExitStatus\" = 127;\n", "\"PID\"\t=\t7\n", "\t\"PID\" = ", "-\t0\tdev.example\n",
	} {
		if l := parseListing(text); l.pid != 0 || l.last != nil {
			t.Errorf("%q: %+v", text, l)
		}
	}
	for text, want := range map[string]int{"": 0, "12\n": 12, "service spawned with pid: 12\n": 12, "-3": 0, "pid 12 x": 0, "99999999999": 0} {
		if got := parsePID(text); got != want {
			t.Errorf("%q: pid %d", text, got)
		}
	}
}

func FuzzParseListing(f *testing.F) {
	f.Add(recorded)
	f.Add("\t\"PID\" = 1;\n\t\"LastExitStatus\" = 9;\n")
	f.Add("12\n")
	f.Fuzz(func(t *testing.T, text string) {
		l := parseListing(text)
		if n := parseRuns(text); n < -1 {
			t.Errorf("%d runs", n)
		}
		if l.pid < 0 || parsePID(text) < 0 {
			t.Errorf("pid %d, %d", l.pid, parsePID(text))
		}
		if x := l.last; x != nil && (*x == Exit{} || x.Code < 0 || x.Code > 255 || x.Signal < 0 || x.Signal > 127) {
			t.Errorf("exit %+v", *x)
		}
	})
}
