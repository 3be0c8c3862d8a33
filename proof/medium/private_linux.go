package medium

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The environment tells a process which part of Private it plays, and where the
// room is.
const (
	guardEnv   = "PORTWARD_PROOF_GUARD"
	privateEnv = "PORTWARD_PROOF_ROOM"
)

// Private runs this very program again in a mount namespace of its own and
// answers its exit code, in the outer process; in the inner one it answers the
// path of an empty tmpfs that nobody else sees, and code -1.
//
// Tidying up is the kernel's: mounts end with their namespace, loop devices with
// their mounts. One thing it cannot do: a process that serves a FUSE file and
// was killed while it waits for that very file does not end, and its descriptors
// stay open. So a guard in between aborts the FUSE mounts as soon as the outer
// process is gone, by a signal, by SIGKILL too:
//
//	outer -- pipe --> guard (unshares the mount namespace) --> inner
func Private() (dir string, code int, err error) {
	if dir := os.Getenv(guardEnv); dir != "" {
		os.Unsetenv(guardEnv)
		os.Exit(guard(dir))
	}
	if dir := os.Getenv(privateEnv); dir != "" {
		os.Unsetenv(privateEnv)
		return dir, -1, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755,size=75%")
	}
	dir, err = os.MkdirTemp("", "portward-proof-")
	if err != nil {
		return "", 1, err
	}
	code, err = outer(dir)
	os.Remove(dir) // the guard does it, if there was one
	return "", code, err
}

// again is this program with one more word in its environment.
func again(word string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), word)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// outer waits for the guard; a signal ends both.
func outer(dir string) (int, error) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	r, w, err := os.Pipe()
	if err != nil {
		return 1, err
	}
	cmd := again(guardEnv + "=" + dir)
	cmd.ExtraFiles = []*os.File{r}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	err = cmd.Start()
	r.Close()
	if err != nil {
		return 1, errors.Join(err, w.Close())
	}
	var closing sync.Once
	defer closing.Do(func() { w.Close() })
	go func() {
		if _, open := <-signals; open {
			closing.Do(func() { w.Close() })
		}
	}()
	return exitCode(cmd.Wait())
}

// guard runs the inner process, and ends it when the outer one is gone.
func guard(dir string) int {
	outer := os.NewFile(3, "outer")
	inner := again(privateEnv + "=" + dir)
	inner.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := inner.Start(); err != nil {
		return 1
	}
	go func() {
		io.Copy(io.Discard, outer)
		inner.Process.Kill()
		for { // until it ends, and this process with it
			abort(dir)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	code, err := exitCode(inner.Wait())
	abort(dir) // what it left, its children may be waiting for
	unix.Unmount(dir, unix.MNT_DETACH)
	os.Remove(dir)
	if err != nil {
		return 1
	}
	return code
}

// abort breaks the connection of every FUSE mount below dir. The mount is still
// busy and stays; but nobody waits for it any more.
func abort(dir string) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if word := strings.Fields(lines.Text()); len(word) > 2 && strings.HasPrefix(word[1], dir) && strings.HasPrefix(word[2], "fuse") {
			unix.Unmount(word[1], unix.MNT_FORCE)
		}
	}
}

func exitCode(err error) (int, error) {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(1, exit.ExitCode()), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
