package ipc

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"portward/bench/harness"
	"portward/bench/talk"
)

// Groups are what this room measures.
func Groups(env harness.Env) []harness.Group {
	p := newPairs(env)
	groups := []harness.Group{p.control()}
	groups = append(groups, p.handOver("handover", "Hand-over of a 1080p frame, there and back", hd), p.handOver("handover4k", "Hand-over of a 4K frame, there and back", uhd))
	return append(groups, p.busy(), p.size())
}

// pairs opens contestants.
type pairs struct {
	env   harness.Env
	build func() (string, error) // the contestants in Go, built once
}

func newPairs(env harness.Env) *pairs {
	return &pairs{env: env, build: sync.OnceValues(func() (string, error) { return build(env) })}
}

// bareLink is laid over package xpcpeer, so that its transport can be measured
// with nothing above it, and the product needs no door for that.
//
//go:embed barelink.txt
var bareLink []byte

// build makes the contestants in Go, as a release is built.
func build(env harness.Env) (string, error) {
	dir, err := env.Dir("contestant")
	if err != nil {
		return "", err
	}
	source, out, overlay := filepath.Join(dir, "barelink.go"), filepath.Join(dir, "contestant"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(source, bareLink, 0o600); err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(env.Root, "internal", "xpcpeer", "barelink.go"): source,
	}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-tags", "overlay", "-overlay", overlay, "-trimpath", "-ldflags", "-s -w", "-o", out, "./ipc/contestant")
	cmd.Dir, cmd.Env = filepath.Join(env.Root, "bench"), append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the contestants: %w\n%s", err, text)
	}
	return out, nil
}

// A contender is a way to do a group's work.
type contender struct {
	name    string
	version string
	place   talk.Place
	n       int // samples for each turn
	floor   string
	args    []string
	dir     bool   // it wants a directory
	fresh   bool   // it is started for each turn
	needs   string // a program it cannot do without
	x       float64
}

// cases make them contestants.
func (p *pairs) cases(cs ...contender) []harness.Case {
	var all []harness.Case
	for _, c := range cs {
		all = append(all, harness.Case{Name: c.name, X: c.x, Open: func(context.Context) (harness.Turn, error) { return p.open(c) }})
	}
	return all
}

func (p *pairs) open(c contender) (harness.Turn, error) {
	if _, err := exec.LookPath(c.needs); c.needs != "" && err != nil {
		return harness.Turn{}, harness.Absent(c.needs + " is not here")
	}
	path, args, err := "", c.args, error(nil)
	if c.floor != "" {
		path, err = p.env.Floor(c.floor)
	} else {
		path, err = p.build()
	}
	if err == nil && c.dir {
		var dir string
		dir, err = p.env.Dir(c.args[0])
		args = append(args[:len(args):len(args)], "-dir", dir)
	}
	if err != nil {
		return harness.Turn{}, err
	}
	command := talk.Command{Path: path, Args: args, Place: c.place}
	if c.fresh {
		return command.FreshTurn(c.version, c.n), nil
	}
	return command.Turn(c.version, c.n)
}
