package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is a pseudo-terminal, pty(7), with a person before it.
type terminal struct {
	t      *testing.T
	person *os.File // what is typed, and what is shown
	tty    *os.File
	shown  *syncBuffer
	read   int // of what is shown
	cmd    *exec.Cmd
}

// startAtTerminal starts a verb whose standard streams are a terminal's.
func startAtTerminal(t *testing.T, args ...string) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	control(t, person, func(fd int) (err error) {
		if err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err == nil {
			n, err = unix.IoctlGetInt(fd, unix.TIOCGPTN)
		}
		return err
	})
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, person: person, tty: tty, shown: &syncBuffer{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		io.Copy(x.shown, person)
	}()
	x.cmd = exec.Command(filepath.Join(binDir(t), "portward"), args...)
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = tty, tty, tty
	x.cmd.Env = []string{"PATH=/usr/bin:/bin"}
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		x.cmd.Process.Kill()
		x.cmd.Wait()
		tty.Close()
		person.Close()
		<-ended
	})
	return x
}

// control leaves the file as it is: Fd would have its reads wait for ever.
func control(t *testing.T, f *os.File, do func(fd int) error) {
	t.Helper()
	c, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var done error
	if err := c.Control(func(fd uintptr) { done = do(int(fd)) }); err != nil || done != nil {
		t.Fatal(err, done)
	}
}

func (x *terminal) echoes() (yes bool) {
	x.t.Helper()
	control(x.t, x.tty, func(fd int) error {
		state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		yes = err == nil && state.Lflag&unix.ECHO != 0
		return err
	})
	return yes
}

// asked waits until that question is on the screen, and what is typed is not
// shown.
func (x *terminal) asked(question string) {
	x.t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		at := strings.Index(x.shown.String()[x.read:], question)
		if at >= 0 && !x.echoes() {
			x.read += at + len(question)
			return
		}
	}
	x.t.Fatalf("%q was not asked, or shows what is typed; on the screen is\n%s", question, x.shown)
}

// answer types it when asked.
func (x *terminal) answer(question, text string) {
	x.t.Helper()
	x.asked(question)
	if _, err := x.person.WriteString(text); err != nil {
		x.t.Fatal(err)
	}
}

// ends waits for the end and answers the exit code, and what was shown.
func (x *terminal) ends() (code int, shown string) {
	x.t.Helper()
	late := time.AfterFunc(20*time.Second, func() { x.cmd.Process.Kill() })
	x.cmd.Wait()
	if !late.Stop() {
		x.t.Fatalf("it does not end; on the screen is\n%s", x.shown)
	}
	if !x.echoes() {
		x.t.Error("the terminal does not show any more what is typed")
	}
	const last = "that was all"
	x.tty.WriteString(last) // behind all that the verb wrote
	for end := time.Now().Add(10 * time.Second); !strings.Contains(x.shown.String(), last); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatal("the terminal lost what was written to it")
		}
	}
	return x.cmd.ProcessState.ExitCode(), x.shown.String()
}

// Rule: at a terminal each key's passphrase is asked for, twice for a new one,
// never shown, and good for that key alone; one root key can be passed over, and
// two are enough.
func TestTypedPassphrases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	roots := at("a") + "," + at("b") + "," + at("c")
	x := startAtTerminal(t, "keys", "init", "--repo", at("repo"), "--root", roots, "--targets", at("t"), "--online", at("o"))
	for _, name := range []string{"a", "b", "c"} {
		x.answer("passphrase of the new root key "+at(name)+"/root.key: ", "secret "+name+"\n")
		x.answer("once more: ", "secret "+name+"\n")
	}
	x.answer("passphrase of the new targets key "+at("t")+"/targets.key: ", "sécret of t\n")
	x.answer("once more: ", "sécret of t\n")
	code, shown := x.ends()
	if code != 0 || !strings.Contains(shown, "is a repository now") || strings.Contains(shown, "cret ") || strings.Contains(shown, "online key ") {
		t.Fatalf("exit %d:\n%s", code, shown)
	}
	x = startAtTerminal(t, "keys", "rotate", "online", "--repo", at("repo"), "--root", roots, "--online", at("o"))
	x.answer("root.key (empty: do without it): ", "\n")
	x.answer(at("b")+"/root.key (empty: do without it): ", "secret b\n")
	x.answer(at("c")+"/root.key (empty: do without it): ", "secret c\n")
	if code, shown := x.ends(); code != 0 || !strings.Contains(shown, "root       2") || strings.Contains(shown, "secret") {
		t.Fatalf("exit %d:\n%s", code, shown)
	}
	x = startAtTerminal(t, "publish", "--repo", at("repo"), "--targets-key", at("t"), "--online-key", at("o"), "--renew")
	x.answer("passphrase of the targets key ", "secret a\n")
	if code, shown := x.ends(); code != exitData || strings.Contains(shown, "secret") {
		t.Fatalf("a foreign passphrase: exit %d:\n%s", code, shown)
	}
	x = startAtTerminal(t, "publish", "--repo", at("repo"), "--targets-key", at("t"), "--online-key", at("o"), "--renew")
	x.answer("passphrase of the targets key ", "sécret of t\n")
	if code, shown := x.ends(); code != 0 {
		t.Fatalf("exit %d:\n%s", code, shown)
	}
}

// Rule: what was typed wrong, or not at all, makes no key; and whoever stops at
// the question has a terminal that shows again what is typed.
func TestTypedWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answers []string // Ctrl-C is \x03
		code    int
		want    string
	}{
		"another one": {[]string{"secret\n", "sceret\n"}, exitData, "the two passphrases differ"},
		"none":        {[]string{"\n"}, exitData, "an empty passphrase"},
		"Ctrl-C":      {[]string{"secret\n", "sec\x03"}, -1, "once more: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			x := startAtTerminal(t, "keys", "init", "--repo", at("repo"), "--root", at("a")+","+at("b")+","+at("c"), "--targets", at("t"), "--online", at("o"))
			for i, text := range c.answers {
				x.answer([]string{"root.key: ", "once more: "}[i], text)
			}
			code, shown := x.ends()
			if code != c.code || !strings.Contains(shown, c.want) || strings.Contains(shown, "secret") {
				t.Errorf("exit %d:\n%s", code, shown)
			}
			if c.code == -1 && x.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
				t.Errorf("it ended by %v", x.cmd.ProcessState)
			}
			if found, _ := exec.Command("find", dir, "-type", "f").Output(); len(bytes.TrimSpace(found)) > 0 {
				t.Errorf("left %s", found)
			}
		})
	}
}
