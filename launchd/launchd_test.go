package launchd

import (
	"io/fs"
	"maps"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"howett.net/plist"
)

type socket struct {
	SockNodeName, SockServiceName, SockType, SockFamily string
}

type job struct {
	Label                       string
	ProgramArguments            []string
	UserName                    string
	RunAtLoad                   bool
	KeepAlive                   bool
	LimitLoadToSessionType      string
	MachServices                map[string]bool
	Sockets                     map[string]socket
	ProcessType                 string
	ExitTimeOut                 int
	StartInterval               int
	EnvironmentVariables        map[string]string
	StandardErrorPath           string
	AssociatedBundleIdentifiers []string
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := fs.ReadFile(Files(), name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func load(t *testing.T, name string) job {
	t.Helper()
	var j job
	if format, err := plist.Unmarshal(read(t, name), &j); err != nil || format != plist.XMLFormat {
		t.Fatalf("%s: format %d, %v", name, format, err)
	}
	return j
}

func daemon(label string) string { return "LaunchDaemons/" + label + ".plist" }

func all(t *testing.T) []string {
	t.Helper()
	names, err := fs.Glob(Files(), "*/*")
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// Rule: the files are these four, and no other is shipped by accident.
func TestFiles(t *testing.T) {
	want := []string{"LaunchAgents/" + GUIAgent + ".plist", daemon(NetChild), daemon(Rescue), daemon(Supervisor)}
	if got := all(t); !slices.Equal(got, want) {
		t.Fatalf("files are %q, want %q", got, want)
	}
}

// Rule: what holds for every job. The file is named after its label and the
// program after the label's last part; every absolute path lies below Prefix,
// which engines replace; nobody is Disabled.
func TestEveryJob(t *testing.T) {
	for _, name := range all(t) {
		j := load(t, name)
		if j.Label+".plist" != path.Base(name) {
			t.Errorf("%s: label %q", name, j.Label)
		}
		want := []string{Programs + "/" + strings.TrimPrefix(path.Ext(j.Label), ".")}
		if j.Label == Rescue {
			want = []string{Prefix + "/" + RescueProgram, RescueFlag}
		}
		if !slices.Equal(j.ProgramArguments, want) {
			t.Errorf("%s: program %q, want %q", name, j.ProgramArguments, want)
		}
		if want := map[string]string{RootVariable: Prefix}; !maps.Equal(j.EnvironmentVariables, want) {
			t.Errorf("%s: environment %v, want %v", name, j.EnvironmentVariables, want)
		}
		if !slices.Equal(j.AssociatedBundleIdentifiers, []string{Bundle}) {
			t.Errorf("%s: AssociatedBundleIdentifiers %q", name, j.AssociatedBundleIdentifiers)
		}
		if j.ExitTimeOut != 5 {
			t.Errorf("%s: ExitTimeOut %d", name, j.ExitTimeOut)
		}
	}
}

// Rule: every key is one that this test knows: a misspelt key is a key that
// launchd ignores.
func TestKeys(t *testing.T) {
	common := []string{"AssociatedBundleIdentifiers", "EnvironmentVariables", "ExitTimeOut", "Label", "ProcessType", "ProgramArguments"}
	for name, own := range map[string][]string{
		daemon(Supervisor):                    {"KeepAlive", "MachServices", "RunAtLoad", "StandardErrorPath"},
		daemon(Rescue):                        {"StartInterval", "StandardErrorPath"},
		daemon(NetChild):                      {"MachServices", "Sockets", "StandardErrorPath", "UserName"},
		"LaunchAgents/" + GUIAgent + ".plist": {"KeepAlive", "LimitLoadToSessionType", "RunAtLoad"},
	} {
		var keys map[string]any
		if _, err := plist.Unmarshal(read(t, name), &keys); err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(slices.Values(slices.Concat(common, own)))
		if got := slices.Sorted(maps.Keys(keys)); !slices.Equal(got, want) {
			t.Errorf("%s: keys %q, want %q", name, got, want)
		}
	}
}

// Rule: the supervisor always runs, and netchild checks in at its service.
func TestSupervisor(t *testing.T) {
	j := load(t, daemon(Supervisor))
	if !j.RunAtLoad || !j.KeepAlive {
		t.Errorf("RunAtLoad %v, KeepAlive %v", j.RunAtLoad, j.KeepAlive)
	}
	if want := map[string]bool{CheckInService: true}; !maps.Equal(j.MachServices, want) {
		t.Errorf("MachServices %v, want %v", j.MachServices, want)
	}
	if want := Prefix + "/log/supervisor.log"; j.StandardErrorPath != want {
		t.Errorf("StandardErrorPath %q, want %q", j.StandardErrorPath, want)
	}
}

// Rule: netchild is unprivileged and starts on demand only; what demands it is
// its service and the viewer's port, which is on the loopback unless somebody
// says otherwise.
func TestNetChild(t *testing.T) {
	j := load(t, daemon(NetChild))
	if j.RunAtLoad || j.KeepAlive || j.UserName != "_portward" {
		t.Errorf("RunAtLoad %v, KeepAlive %v, UserName %q", j.RunAtLoad, j.KeepAlive, j.UserName)
	}
	if want := map[string]bool{NetChildService: true}; !maps.Equal(j.MachServices, want) {
		t.Errorf("MachServices %v, want %v", j.MachServices, want)
	}
	want := map[string]socket{ViewerSocket: {"127.0.0.1", "8443", "stream", "IPv4"}}
	if !maps.Equal(j.Sockets, want) {
		t.Errorf("Sockets %v, want %v", j.Sockets, want)
	}
	if want := Prefix + "/log/netchild.log"; j.StandardErrorPath != want {
		t.Errorf("StandardErrorPath %q, want %q", j.StandardErrorPath, want)
	}
}

// Rule: the rescue looks every 30 seconds and is neither run at load nor kept
// alive nor limited in what it may use.
func TestRescue(t *testing.T) {
	j := load(t, daemon(Rescue))
	if time.Duration(j.StartInterval)*time.Second != RescueInterval || j.RunAtLoad || j.KeepAlive || j.UserName != "" || j.ProcessType != "Interactive" {
		t.Errorf("StartInterval %d, RunAtLoad %v, KeepAlive %v, UserName %q, ProcessType %q", j.StartInterval, j.RunAtLoad, j.KeepAlive, j.UserName, j.ProcessType)
	}
	if want := Prefix + "/log/rescue.log"; j.StandardErrorPath != want {
		t.Errorf("StandardErrorPath %q, want %q", j.StandardErrorPath, want)
	}
}

// Rule: the agent lives as long as a graphical login, and shares no file with
// another user's.
func TestGUIAgent(t *testing.T) {
	j := load(t, "LaunchAgents/"+GUIAgent+".plist")
	if !j.RunAtLoad || !j.KeepAlive || j.LimitLoadToSessionType != "Aqua" || j.ProcessType != "Interactive" {
		t.Errorf("RunAtLoad %v, KeepAlive %v, session %q, ProcessType %q", j.RunAtLoad, j.KeepAlive, j.LimitLoadToSessionType, j.ProcessType)
	}
	if j.StandardErrorPath != "" || len(j.MachServices) != 0 {
		t.Errorf("StandardErrorPath %q, MachServices %v", j.StandardErrorPath, j.MachServices)
	}
}

// Rule: a second reader, which shares no code with ours, takes the files too.
func TestSecondReader(t *testing.T) {
	tool, err := exec.LookPath("plistutil")
	if err != nil {
		t.Skip("needs plistutil (Debian: libplist-utils)")
	}
	for name := range every(t) {
		out, err := exec.Command(tool, "-i", filepath.FromSlash(name), "-o", filepath.Join(t.TempDir(), "out")).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}
