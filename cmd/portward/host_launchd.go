package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"howett.net/plist"

	"portward/internal/bundle"
	"portward/internal/bundle/sign"
	"portward/internal/bundle/signature"
	"portward/internal/durable"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/launchd"
)

// A launchdHost has the jobs kept by the launchd of whoever runs this, in their own
// login, under names that nobody else has: an installed product goes on beside it.
// Its programs are signed by nobody and know each other by their hashes.
//
// No descriptor reaches a job here. So frames are counted as a viewer is told of them,
// lives as they are seen, and a job that shall fail reads that from a FIFO.
type launchdHost struct {
	w       *world
	uid     int
	session string
	connect func(known, followed []jobs.Target) (jobs.Engine, func(), error)

	audience audience
	pipes    pipes
}

// suffix is what the names have more than the product's. It is of the root, so that
// the next `up` there finds what a killed one has left.
func (h *launchdHost) suffix() string {
	sum := sha256.Sum256([]byte(h.w.o.root))
	return fmt.Sprintf(".demo.%x", sum[:4])
}

// demoLabels are the jobs, in the order in which they are ended.
func demoLabels() []string {
	return []string{launchd.GUIAgent, launchd.Rescue, launchd.Supervisor, launchd.NetChild}
}

// target is a job by the product's name.
func (h *launchdHost) target(label string) jobs.Target {
	domain := jobs.System // which is the login's, where the engine is not root's
	if label == launchd.GUIAgent {
		domain = jobs.SessionDomain(h.session)
	}
	return jobs.MakeTarget(domain, label)
}

// here is the same job as launchd knows it.
func (h *launchdHost) here(label string) jobs.Target {
	return h.target(label) + jobs.Target(h.suffix())
}

// people are all the one who runs this, in the one login there is.
func (h *launchdHost) people() (people, error) {
	p, err := newPeople(1)
	for i := range p.sessions {
		p.sessions[i].ID = h.session
	}
	return p, err
}

func (h *launchdHost) sweep(ctx context.Context) error {
	h.w.costly = true
	switch o := h.w.o; {
	case h.uid == 0:
		return badValue{errors.New("on a Mac up runs in a login, and root has none\nhint: without sudo; portward install is for the whole Mac")}
	case o.repo != "":
		return badValue{errors.New("--repo: on a Mac up takes no releases, whose programs would be strangers to those that it signs itself\nhint: portward install SEED --repo URL --trust FILE")}
	case o.source == "x11":
		return badValue{errors.New("--source x11: a Mac's screens are not X's\nhint: auto or testcard")}
	}
	e, end, err := h.connect(nil, nil)
	if err != nil {
		return err
	}
	defer end()
	return h.endJobs(ctx, program.Plain(e, h.suffix()))
}

// endJobs ends what is loaded of the jobs; e knows them by the product's names.
func (h *launchdHost) endJobs(ctx context.Context, e jobs.Engine) error {
	var errs []error
	for _, label := range demoLabels() {
		err := e.Bootout(ctx, h.target(label))
		if err != nil && !errors.Is(err, jobs.ErrNotLoaded) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// settle signs the programs and tells them by what they know each other.
func (h *launchdHost) settle(*bundle.Seal) (*bundle.Seal, error) {
	root := h.w.o.root
	dir := program.BundleDir(root)
	h.w.show.say("signing the programs, by nobody")
	s := signing{bundle: dir}
	if err := s.sign(sign.Options{Identity: sign.AdHoc(), Runtime: true}); err != nil {
		return nil, err
	}
	seal, err := bundle.Reseal(dir, nil)
	if err != nil {
		return nil, err
	}
	c := checking{Options: signature.Options{AllowAdHoc: true}}
	v, err := c.verify(dir)
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(peersOf(v), "", "  ")
	if err != nil {
		return nil, err
	}
	return seal, durable.Write(program.PeersPath(root), data, 0o644)
}

func (h *launchdHost) plist(label string) string {
	return filepath.Join(program.JobsDir(h.w.o.root), label+h.suffix()+".plist")
}

// open writes the files of the jobs, with their names, and connects to launchd.
func (h *launchdHost) open() (engine, error) {
	if err := durable.MkdirAll(program.JobsDir(h.w.o.root), 0o755); err != nil {
		return nil, err
	}
	if err := h.openPipes(); err != nil {
		return nil, err
	}
	if err := fs.WalkDir(launchd.Files(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(launchd.Files(), path)
		if err == nil {
			data, err = h.rewrite(data)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return durable.Write(h.plist(strings.TrimSuffix(filepath.Base(path), ".plist")), data, 0o644)
	}); err != nil {
		return nil, err
	}
	e, end, err := h.connect(h.all(demoLabels()), h.all(pokable()))
	if err != nil {
		return nil, err
	}
	plain := program.Plain(e, h.suffix())
	h.pipes.engine = plain
	h.audience.addr, h.audience.state = fromHere(h.w.viewer), program.StateDir(h.w.o.root)
	return demoEngine{plain, h, end}, nil
}

// all are jobs as launchd knows them.
func (h *launchdHost) all(labels []string) (all []jobs.Target) {
	for _, label := range labels {
		all = append(all, h.here(label))
	}
	return all
}

// rewrite answers a job's file for this root: its paths, its names, and a viewer's
// port that is free. A login's jobs are all its user's.
func (h *launchdHost) rewrite(data []byte) ([]byte, error) {
	var job map[string]any
	if _, err := plist.Unmarshal(data, &job); err != nil {
		return nil, err
	}
	job = h.relocate(job).(map[string]any)
	label, _ := job["Label"].(string)
	job["Label"] = label + h.suffix()
	delete(job, "UserName")
	delete(job, "AssociatedBundleIdentifiers")
	env, _ := job["EnvironmentVariables"].(map[string]any)
	env[program.NamesVariable] = h.suffix()
	if slices.Contains(pokable(), label) {
		env[jobs.PipeVariable] = h.pipeFor(label)
	}
	if label == launchd.GUIAgent {
		env["PORTWARD_SOURCE"] = h.w.o.source
		job["StandardErrorPath"] = logPath(h.w.o.root, jobs.MakeTarget(jobs.SessionDomain(h.session), label))
	}
	if services, ok := job["MachServices"].(map[string]any); ok {
		named := map[string]any{}
		for name, v := range services {
			named[name+h.suffix()] = v
		}
		job["MachServices"] = named
	}
	if sockets, ok := job["Sockets"].(map[string]any); ok {
		node, port, err := net.SplitHostPort(h.w.viewer)
		if err != nil {
			return nil, err
		}
		socket, _ := sockets[launchd.ViewerSocket].(map[string]any)
		socket["SockNodeName"], socket["SockServiceName"] = node, port
	}
	return plist.MarshalIndent(job, plist.XMLFormat, "\t")
}

// relocate puts the root in the place of the prefix that the files name.
func (h *launchdHost) relocate(v any) any {
	switch v := v.(type) {
	case string:
		if rest, ok := strings.CutPrefix(v, launchd.Prefix); ok && (rest == "" || rest[0] == '/') {
			return h.w.o.root + rest
		}
	case []any:
		for i := range v {
			v[i] = h.relocate(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = h.relocate(v[key])
		}
	}
	return v
}

// A demoEngine is launchd, by the product's names.
type demoEngine struct {
	jobs.Engine
	host *launchdHost
	end  func()
}

// Login has nothing to do: the login is there.
func (demoEngine) Login(jobs.Session) error { return nil }

// Close ends the jobs, whatever launchd says of one of them, and leaves launchd.
func (e demoEngine) Close(ctx context.Context) error {
	defer e.end()
	defer e.host.pipes.close()
	return e.host.endJobs(ctx, e.Engine)
}
