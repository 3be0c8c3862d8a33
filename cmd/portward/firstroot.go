package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/update/pipe"
	"portward/launchd"
)

const (
	// maxRoot bounds a root's metadata, in bytes.
	maxRoot = 512 << 10
	// firstRootWithin is longer than a fetcher tries.
	firstRootWithin = 10 * time.Minute
)

// firstRoot answers the metadata with which trust begins: the file that --trust
// names, or what the repository says of itself the first time it is asked.
func (w *world) firstRoot(ctx context.Context) ([]byte, error) {
	if w.o.trust != "" {
		return os.ReadFile(w.o.trust)
	}
	w.show.say("asking %s for its keys", w.o.repo)
	root, err := w.fetch(ctx, "metadata/1.root.json", maxRoot)
	if err != nil {
		return nil, fmt.Errorf("the repository %s: %w\nhint: is it there, and was it made by portward keys init and portward publish?", w.o.repo, err)
	}
	sum := sha256.Sum256(root)
	w.show.say("trusting the keys of %s as it shows them now (1.root.json, SHA-256 %s); --trust FILE pins them", w.o.repo, fmt.Sprintf("%x", sum[:8]))
	return root, nil
}

// fetch gets one file of the repository as the supervisor gets all of them: from
// the seed's fetcher, which has the fetcher's account, directory and nothing
// else. This process speaks to no network.
func (w *world) fetch(ctx context.Context, name string, max int64) ([]byte, error) {
	// The kernel ends the child when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(ctx, firstRootWithin)
	defer cancel()
	said := &lastBytes{}
	cmd := exec.CommandContext(ctx, bundle.Layout(program.BundleDir(w.o.root)).Program("portward"), fetchVerb, "--root", w.o.root)
	cmd.Dir, cmd.Stderr = "/", said
	cmd.Env = append(environ(), launchd.RootVariable+"="+w.o.root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: w.people.fetch, Gid: w.people.fetch}
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	ask, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	answer, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the fetcher: %w", err)
	}
	defer context.AfterFunc(ctx, func() { answer.Close() })() // somebody else may hold the other end
	data, err := pipe.NewClient(answer, ask).Get(name, max, "")
	ask.Close()
	grace := time.AfterFunc(time.Second, cancel)
	defer grace.Stop()
	if ended := cmd.Wait(); err != nil && ended != nil {
		err = fmt.Errorf("the fetcher: %w: %s", ended, said.line())
	}
	return data, err
}

// lastBytes keeps the end of what a child says.
type lastBytes []byte

func (l *lastBytes) Write(p []byte) (int, error) {
	*l = append(*l, p...)
	*l = (*l)[max(0, len(*l)-4<<10):]
	return len(p), nil
}

func (l *lastBytes) line() string {
	lines := strings.Split(strings.TrimSpace(string(*l)), "\n")
	return pipe.Clip(lines[len(lines)-1])
}
