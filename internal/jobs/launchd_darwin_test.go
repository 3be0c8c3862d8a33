package jobs_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"portward/internal/jobs"
	"portward/internal/jobs/jobstest"
)

// Rule: launchd's engine keeps the contract with the launchd of this Mac, in the
// domain of whoever is logged in. The labels are throw-away ones, which begin
// with dev.portward.test; only a run that was killed leaves some of them.
func TestLaunchdOfThisMac(t *testing.T) {
	uid := os.Getuid()
	domain := "gui/" + strconv.Itoa(uid)
	if uid == 0 || exec.Command("/bin/launchctl", "print", domain).Run() != nil {
		t.Skip("needs a login at the screen, of somebody who is not root: " + domain)
	}
	lacks := append(launchdLacks(), jobstest.Lack{
		Ability: jobstest.Logins, Reason: "nobody can log in and out for a test",
	})
	jobstest.Test(t, func(t *testing.T) jobstest.Harness {
		l, err := jobs.NewLaunchd(jobs.LaunchdOptions{UID: uid, Log: t.Logf})
		must(t, err)
		t.Cleanup(l.Close)
		t.Cleanup(func() { emptyLaunchd(t, l) })
		return jobstest.Harness{
			Engine: l,
			Keys:   map[string]any{"ThrottleInterval": 1}, // rules that kill a job wait for it
		}
	}, lacks...)
}

// emptyLaunchd takes out what a rule has loaded.
func emptyLaunchd(t *testing.T, l *jobs.Launchd) {
	ctx, cancel := context.WithTimeout(context.Background(), jobstest.Patience)
	defer cancel()
	all, err := l.List(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, s := range all {
		if err := l.Bootout(ctx, s.Target); err != nil {
			t.Error(err)
		}
	}
}

// Rule: what a Mac answers is what the code table says, for the codes that can
// be had without doing harm. What differs is to be written down with the release
// of macOS: apple.md calls several of them dependent on the version.
func TestLaunchctlOfThisMac(t *testing.T) {
	domain := "gui/" + strconv.Itoa(os.Getuid())
	for args, codes := range map[[2]string][]int{
		{"print", "system/dev.portward.test.none"}:      {113},
		{"print", "gui/4294967290/dev.portward.test"}:   {112, 113, 125},
		{"kickstart", domain + "/dev.portward.test.no"}: {3, 113, 125},
		{"bootout", domain + "/dev.portward.test.no"}:   {3, 113, 125},
		{"list", "dev.portward.test.none"}:              {113},
	} {
		cmd := exec.Command("/bin/launchctl", args[0], args[1])
		cmd.WaitDelay = time.Second
		out, _ := cmd.CombinedOutput()
		got, known := cmd.ProcessState.ExitCode(), false
		for _, c := range codes {
			known = known || c == got
		}
		if !known {
			t.Errorf("launchctl %q ended with %d, want one of %v: %s", args, got, codes, out)
		}
	}
}
