package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"portward/bench/harness"
)

// A peer is a supervisor and how it is told to keep the child.
type peer struct {
	name     string
	pkg      string   // Debian's package; "" for what is built here
	programs []string // what it needs from there
	// prepare writes what the supervisor reads and answers the command that runs it in
	// the foreground.
	prepare func(s *site) (command []string, err error)
	// begin says what is to be done once it runs; nil for nothing.
	begin func(ctx context.Context, s *site) error
	// processes answers the supervisor's own processes; nil: the whole tree but the child.
	processes func(s *site) []int
}

// A site is one supervisor at work: its directory, and what it keeps.
type site struct {
	env   harness.Env
	dir   string
	child string // the program
	bell  *bell
	mode  mode

	cmd  *exec.Cmd
	log  *os.File
	last ring     // of the living child
	undo []func() // after the processes are gone, the last one first
}

// A mode is what the child is kept for.
type mode int

const (
	keep      mode = iota // always running
	demand                // started by a connection at socket()
	watchd                // always running, and killed when it stands still
	unwatched             // the supervisor has its own children, not ours
)

// socket is where a connection asks for the child.
func (s *site) socket() string { return filepath.Join(s.dir, "demand") }

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// write writes a file of the site and makes the directories above it.
func (s *site) write(name, text string, perm os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o755); err != nil {
		return err
	}
	return os.WriteFile(s.path(name), []byte(text), perm)
}

// absent answers why the peer cannot run here, or nil.
func (p peer) absent() error {
	for _, program := range p.programs {
		if _, err := exec.LookPath(program); err != nil {
			return harness.Absent(fmt.Sprintf("no %s (Debian package %s)", program, p.pkg))
		}
	}
	return nil
}

// start runs the supervisor. Unless the child is there on demand only, it waits for it.
func (p peer) start(ctx context.Context, env harness.Env, m mode) (*site, error) {
	if err := p.absent(); err != nil {
		return nil, err
	}
	child, err := env.Floor("child")
	if err != nil {
		return nil, err
	}
	dir, err := env.Dir(strings.Fields(p.name)[0])
	if err != nil {
		return nil, err
	}
	s := &site{env: env, dir: dir, child: child, mode: m}
	if s.bell, err = newBell(dir); err != nil {
		return nil, err
	}
	if err := p.launch(ctx, s); err != nil {
		err = fmt.Errorf("%w%s", err, s.tail())
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (p peer) launch(ctx context.Context, s *site) error {
	command, err := p.prepare(s)
	if err != nil {
		return err
	}
	if s.log, err = os.Create(s.path("log")); err != nil {
		return err
	}
	if err := s.run(command); err != nil {
		return err
	}
	if p.begin != nil {
		if err := p.begin(ctx, s); err != nil {
			return err
		}
	}
	switch s.mode {
	case demand:
		return s.listens(ctx)
	case unwatched:
		return nil
	}
	s.last, err = s.bell.await(ctx, 'R')
	return err
}

// run starts the command in a process group of its own, which dies with this process.
func (s *site) run(command []string) error {
	if s.cmd == nil {
		s.cmd = exec.Command(command[0], command[1:]...)
		s.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, s.log, s.log
	s.cmd.SysProcAttr.Setpgid, s.cmd.SysProcAttr.Pdeathsig = true, syscall.SIGKILL
	return s.cmd.Start()
}

// listens waits until the socket is there.
func (s *site) listens(ctx context.Context) error {
	for {
		if _, err := os.Stat(s.socket()); err == nil {
			return nil
		}
		if err := sleep(ctx, 10*time.Millisecond); err != nil {
			return fmt.Errorf("no socket: %w", err)
		}
	}
}

// close ends the supervisor and everything it started.
func (s *site) close() error {
	if s.cmd != nil && s.cmd.Process != nil {
		killTree(s.cmd.Process.Pid)
		s.cmd.Wait() // it was killed
	}
	s.killLast()
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
	if s.log != nil {
		s.log.Close()
	}
	return s.bell.close()
}

// killLast ends a child that has left its supervisor's tree, as monit's does.
func (s *site) killLast() {
	if s.last.pid == 0 || comm(s.last.pid) != filepath.Base(s.child) {
		return
	}
	if v, err := watch(s.last.pid); err == nil {
		v.signal(syscall.SIGKILL)
		v.close()
	}
}

// tail answers the end of what the supervisor wrote, for an error.
func (s *site) tail() string {
	text, _ := os.ReadFile(s.path("log"))
	if len(text) > 600 {
		text = text[len(text)-600:]
	}
	if len(text) == 0 {
		return ""
	}
	return "\n" + strings.TrimSpace(string(text))
}

// own answers the supervisor's own processes.
func (p peer) own(s *site) []int {
	if p.processes != nil {
		return p.processes(s)
	}
	var all []int
	for _, pid := range tree(s.cmd.Process.Pid) {
		if comm(pid) != filepath.Base(s.child) {
			all = append(all, pid)
		}
	}
	return all
}

func (p peer) version() string {
	if p.pkg == "" {
		return ""
	}
	return harness.Upstream(p.pkg)
}
