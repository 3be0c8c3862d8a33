package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"portward/bench/harness"
)

func run(args ...string) (code int, stdout, stderr string) {
	var out, err strings.Builder
	code = bench(args, &out, &err)
	return code, out.String(), err.String()
}

// Rule: what cannot be a request is refused with 64 before anything is done, and a
// wrong choice of groups lists those that there are.
func TestRefused(t *testing.T) {
	for _, args := range [][]string{{"-only", "^no-such-group$"}, {"-only", "("}, {"idle"}, {"-quick", "idle"}} {
		code, stdout, stderr := run(args...)
		if code != 64 || stdout != "" || !strings.Contains(stderr, "\nhint: ") || !strings.Contains(stderr, listed()) {
			t.Errorf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"-no-such-flag"}, {"-limit", "soon"}, {"-limit", "-1s"}, {"-only"}} {
		if code, stdout, stderr := run(args...); code != 64 || stdout != "" || !strings.Contains(stderr, "\nhint: ") {
			t.Errorf("%q: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

// Rule: -h is no error, and tells of every flag, every group and every package that
// may be installed.
func TestHelp(t *testing.T) {
	code, stdout, stderr := run("-h")
	if code != 0 || stderr != "" {
		t.Errorf("exit %d\n%s", code, stderr)
	}
	want := []string{"-only", "-quick", "-out", "-limit 19m ", "-install=false", "64 usage"}
	for _, r := range rooms() {
		want = append(want, r.packages...)
		for _, g := range r.groups(harness.Env{}) {
			want = append(want, fmt.Sprintf("\n  %-12s %s\n", g.Name, g.Title))
		}
	}
	for _, w := range want {
		if !strings.Contains(stdout, w) {
			t.Errorf("no %q in\n%s", w, stdout)
		}
	}
}

// Rule: no two groups have a name, which is a file's, too.
func TestNamesOfGroups(t *testing.T) {
	names, packages, err := choose("")
	if err != nil {
		t.Fatal(err)
	}
	if sorted := unique(names); len(sorted) != len(names) || len(names) != len(named(names, harness.Env{})) {
		t.Errorf("names: %q", names)
	}
	for _, name := range names {
		if strings.ContainsAny(name, "/. ") {
			t.Errorf("%q", name)
		}
	}
	if !slices.Equal(packages, unique(packages)) {
		t.Errorf("packages: %q", packages)
	}
}

// Rule: only packages are installed that the chosen groups compare with.
func TestPackagesOfChosenGroups(t *testing.T) {
	q, err := parse([]string{"-only", "^control$"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"dbus", "gcc", "libc6-dev"}; !slices.Equal(q.groups, []string{"control"}) || !slices.Equal(q.packages, want) {
		t.Errorf("groups %q need %q", q.groups, q.packages)
	}
}

// Rule: the command that a report names can be given to a shell as it is.
func TestCommand(t *testing.T) {
	if got, want := command([]string{"-only", "^(a|b)$", "-quick", "-out", "it's"}), `cd bench && go run . -only '^(a|b)$' -quick -out 'it'\''s'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
