package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"portward/bench/frames"
	"portward/bench/harness"
	"portward/bench/ipc"
	"portward/bench/supervise"
)

// A room is a package with groups.
type room struct {
	name     string
	packages []string // Debian's, that its groups compare with or need
	groups   func(harness.Env) []harness.Group
}

func rooms() []room {
	return []room{
		{"supervise", []string{"gcc", "libc6-dev", "runit", "s6", "daemontools", "systemd", "supervisor", "monit"}, supervise.Groups},
		{"ipc", []string{"gcc", "libc6-dev", "dbus"}, ipc.Groups},
		{"frames", []string{"gcc", "libc6-dev", "xvfb", "chromium"}, frames.Groups},
	}
}

// choose answers the names of the groups that match, and the packages of their rooms.
func choose(only string) (names, packages []string, err error) {
	want, err := regexp.Compile(only)
	if err != nil {
		return nil, nil, fmt.Errorf("-only: %w\nhint: the groups are\n%s", err, listed())
	}
	for _, r := range rooms() {
		before := len(names)
		for _, g := range r.groups(harness.Env{}) {
			if want.MatchString(g.Name) {
				names = append(names, g.Name)
			}
		}
		if len(names) > before {
			packages = append(packages, r.packages...)
		}
	}
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("-only %s: no such group\nhint: the groups are\n%s", only, listed())
	}
	return names, unique(packages), nil
}

func unique(all []string) []string { return slices.Compact(slices.Sorted(slices.Values(all))) }

// named answers the groups with those names.
func named(names []string, env harness.Env) []harness.Group {
	var all []harness.Group
	for _, r := range rooms() {
		for _, g := range r.groups(env) {
			if slices.Contains(names, g.Name) {
				all = append(all, g)
			}
		}
	}
	return all
}

// listed is every group with its title.
func listed() string {
	var b strings.Builder
	for _, r := range rooms() {
		for _, g := range r.groups(harness.Env{}) {
			fmt.Fprintf(&b, "  %-12s %s\n", g.Name, g.Title)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
