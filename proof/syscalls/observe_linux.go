package syscalls

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Verdict is what happens to a call.
type Verdict struct {
	Kill  bool
	Errno syscall.Errno // not 0: the call does not happen and answers this
}

// Observe runs cmd, whose process calls Submit with descriptor 3, to its end,
// and asks about every call that touches tree. A process that is still there at
// the deadline is killed, which is no error.
func Observe(cmd *exec.Cmd, tree string, deadline time.Time, decide func(Call) Verdict) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	cmd.ExtraFiles = []*os.File{theirs}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return err
	}
	listener, err := accept(ours)
	if err == nil {
		err = observer{cmd, listener, tree, decide}.loop(deadline)
		unix.Close(listener)
	}
	if err != nil {
		cmd.Process.Kill()
	}
	if last := cmd.Wait(); !errors.As(last, new(*exec.ExitError)) {
		err = errors.Join(err, last)
	}
	return err
}

func accept(conn *os.File) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(conn.Fd()), make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("the process did not submit: %v", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("the process did not submit: %v", err)
	}
	return fds[0], nil
}

type observer struct {
	cmd      *exec.Cmd
	listener int
	tree     string
	decide   func(Call) Verdict
}

// loop ends when the last thread of the process is gone.
func (o observer) loop(deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			o.cmd.Process.Kill()
			left = time.Minute
		}
		p := []unix.PollFd{{Fd: int32(o.listener), Events: unix.POLLIN}}
		_, err := unix.Poll(p, int(left.Milliseconds())+1)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err
		case p[0].Revents&unix.POLLIN != 0:
			if err := o.one(); err != nil {
				return err
			}
		case p[0].Revents&unix.POLLHUP != 0:
			return nil
		}
	}
}

// one answers one call. ENOENT, whenever it comes: the caller was killed.
func (o observer) one() error {
	n, err := receive(o.listener)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	r := response{id: n.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
	if c, touches := o.seen(n); touches {
		v := o.decide(c)
		if v.Kill {
			return o.cmd.Process.Kill() // before it happens
		}
		if v.Errno != 0 {
			r.flags, r.errno = 0, -int32(v.Errno)
		}
	}
	if err := respond(o.listener, r); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

// seen says what is called, and whether it touches the tree. The process is its
// own maker's, so nobody changes the name between here and the kernel.
func (o observer) seen(n notification) (Call, bool) {
	rule := table[int(n.nr)]
	c := Call{Name: rule.name, Changes: rule.changes, Allocates: rule.allocates}
	if int(n.nr) == unix.SYS_OPENAT && n.args[2]&(unix.O_CREAT|unix.O_TRUNC) != 0 {
		c.Changes, c.Allocates = true, true
	}
	at := "/proc/" + strconv.Itoa(int(n.pid))
	if rule.path >= 0 {
		c.Path = stringAt(at+"/mem", int64(n.args[rule.path]))
	}
	if !filepath.IsAbs(c.Path) {
		from := at + "/cwd"
		if fd := rule.fd; fd != cwd && int32(n.args[fd]) != unix.AT_FDCWD {
			from = at + "/fd/" + strconv.Itoa(int(int32(n.args[fd])))
		}
		base, err := os.Readlink(from)
		if err != nil || !filepath.IsAbs(base) {
			return c, false // a pipe, a socket
		}
		c.Path = filepath.Join(base, c.Path)
	}
	return c, c.Path == o.tree || strings.HasPrefix(c.Path, o.tree+"/")
}

// stringAt reads another process's C string.
func stringAt(mem string, addr int64) string {
	f, err := os.Open(mem)
	if err != nil {
		return ""
	}
	defer f.Close()
	var text []byte
	for len(text) < unix.PathMax {
		part := make([]byte, 256-int(addr%256)) // never across the end of a page
		n, err := f.ReadAt(part, addr)
		if i := bytes.IndexByte(part[:n], 0); i >= 0 {
			return string(append(text, part[:i]...))
		}
		if err != nil {
			return ""
		}
		text, addr = append(text, part[:n]...), addr+int64(n)
	}
	return string(text)
}
