package launchd_test

import (
	"io/fs"
	"path"
	"slices"
	"testing"

	"portward/internal/bundle"
	"portward/internal/jobs"
	"portward/launchd"
)

// Rule: macOS counts the jobs to the very app that they are programs of.
func TestBundleOfTheJobs(t *testing.T) {
	if launchd.Bundle != bundle.Identifier {
		t.Errorf("the jobs are of %q, the app is %q", launchd.Bundle, bundle.Identifier)
	}
}

// Rule: the embedded engine reads the very files that launchd reads, and takes
// from them what they mean.
func TestEmbeddedEngineReadsThem(t *testing.T) {
	names, err := fs.Glob(launchd.Files(), "*/*")
	if err != nil || len(names) != 4 {
		t.Fatalf("files %q, %v", names, err)
	}
	specs := map[string]*jobs.Spec{}
	for _, name := range names {
		data, err := fs.ReadFile(launchd.Files(), name)
		if err != nil {
			t.Fatal(err)
		}
		spec, err := jobs.ParseSpec(name, data)
		if err != nil {
			t.Fatal(err)
		}
		if spec.Label+".plist" != path.Base(name) {
			t.Errorf("%s: label %q", name, spec.Label)
		}
		specs[spec.Label] = spec
	}
	child := specs[launchd.NetChild]
	if child.RunAtLoad || child.KeepAlive.Any() || !slices.Equal(child.MachServices, []string{launchd.NetChildService}) {
		t.Errorf("netchild is not on demand: %+v", child)
	}
	want := jobs.Socket{Key: launchd.ViewerSocket, NodeName: "127.0.0.1", ServiceName: "8443", Family: "IPv4"}
	if !slices.Equal(child.Sockets, []jobs.Socket{want}) {
		t.Errorf("netchild's sockets are %+v, want %+v", child.Sockets, want)
	}
	if s := specs[launchd.Supervisor]; !s.KeepAlive.Always || !slices.Equal(s.MachServices, []string{launchd.CheckInService}) {
		t.Errorf("the supervisor is not always there: %+v", s)
	}
	if r := specs[launchd.Rescue]; r.StartInterval != launchd.RescueInterval || r.RunAtLoad || r.KeepAlive.Any() || r.UserName != "" {
		t.Errorf("the rescue does not look every %v as root: %+v", launchd.RescueInterval, r)
	}
	if a := specs[launchd.GUIAgent]; !a.KeepAlive.Always || len(a.SessionTypes) != 1 || len(a.MachServices) != 0 {
		t.Errorf("the agent is not one per login: %+v", a)
	}
}

// Rule: an engine that is given the login window's agent keeps it out of every
// login.
func TestLoginAgentIsNotForLogins(t *testing.T) {
	name := "LaunchAgents/" + launchd.LoginAgent + ".plist"
	data, err := fs.ReadFile(launchd.Optional(), name)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := jobs.ParseSpec(name, data)
	if err != nil || spec.Label != launchd.LoginAgent || !slices.Equal(spec.SessionTypes, []jobs.SessionType{jobs.LoginWindow}) {
		t.Errorf("%+v, %v", spec, err)
	}
}
