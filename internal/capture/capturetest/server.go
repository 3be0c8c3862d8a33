// Package capturetest knows how to start a real X server for a test, and how to
// change it from outside as a person would. It must never know who captures it.
package capturetest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A Server is a real X server of the test's own. It lets nobody in but its user
// and whom its arguments say, and ends with the test.
type Server struct {
	Display string // as in DISPLAY, without a screen

	t   testing.TB
	cmd *exec.Cmd
}

// Xvfb starts a server of one black screen, 640x480 unless the arguments say
// otherwise. A test is skipped where there is no such program.
func Xvfb(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, need(t, "Xvfb"), append([]string{"-screen", "0", "640x480x24", "-br"}, args...))
}

// xorgConf is a machine without devices: one card that is memory, one monitor
// that can show all usual sizes.
const xorgConf = `
Section "ServerFlags"
  Option "AutoAddDevices" "false"
  Option "AutoAddGPU" "false"
EndSection
Section "Device"
  Identifier "card"
  Driver "dummy"
  VideoRam 65536
EndSection
Section "Monitor"
  Identifier "monitor"
  HorizSync 5-1000
  VertRefresh 5-1000
EndSection
Section "Screen"
  Identifier "screen"
  Device "card"
  Monitor "monitor"
  DefaultDepth 24
  SubSection "Display"
    Depth 24
    Virtual 1920 1080
    Modes "640x480"
  EndSubSection
EndSection
`

// Xorg starts the server that runs on people's machines, with a card that draws
// into memory and a monitor of 640x480 that can be switched (Mode). A test that
// is not root's is skipped, and so is one where the server or its dummy driver is
// missing (Debian: xserver-xorg-core, xserver-xorg-video-dummy).
func Xorg(t testing.TB, args ...string) *Server {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const driver = "/usr/lib/xorg/modules/drivers/dummy_drv.so"
	if _, err := os.Stat(driver); err != nil {
		t.Skip("needs Xorg's dummy driver")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "xorg.conf")
	if err := os.WriteFile(conf, []byte(xorgConf), 0o600); err != nil {
		t.Fatal(err)
	}
	own := []string{"-config", conf, "-logfile", filepath.Join(dir, "log"), "-novtswitch", "-sharevts"}
	return start(t, need(t, "/usr/lib/xorg/Xorg"), append(own, args...))
}

// need answers the path of a program that is no part of ours.
func need(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("needs " + filepath.Base(name))
	}
	return path
}

// start waits until the server listens on a display that it chose (-displayfd),
// so that servers of other tests are not met.
func start(t testing.TB, path string, args []string) *Server {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(path, append([]string{"-displayfd", "3", "-nolisten", "tcp", "-noreset"}, args...)...)
	cmd.ExtraFiles = []*os.File{w}
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, cmd: cmd}
	t.Cleanup(func() { s.Stop(syscall.SIGTERM) })
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("%s names no display: %v", filepath.Base(path), err)
	}
	s.Display = ":" + strings.TrimSpace(line)
	return s
}

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return "/tmp/.X11-unix/X" + s.Display[1:] }

// Freeze lets the server answer no more, until Stop.
func (s *Server) Freeze() { s.cmd.Process.Signal(syscall.SIGSTOP) }

// Stop ends the server by that signal, and removes what one that was killed
// leaves behind.
func (s *Server) Stop(sig syscall.Signal) {
	if s.cmd.ProcessState != nil {
		return
	}
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Signal(sig)
	s.cmd.Wait()
	lock := "/tmp/.X" + s.Display[min(1, len(s.Display)):] + "-lock"
	owner, err := os.ReadFile(lock)
	if err == nil && strings.TrimSpace(string(owner)) == strconv.Itoa(s.cmd.Process.Pid) {
		os.Remove(s.Socket())
		os.Remove(lock)
	}
}

// Run lets a client do its work to the end.
func (s *Server) Run(name string, args ...string) {
	s.t.Helper()
	cmd := exec.Command(need(s.t, name), args...)
	cmd.Env = append(os.Environ(), "DISPLAY="+s.Display)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s %v: %v: %s", name, args, err, bytes.TrimSpace(out))
	}
}

// Mode switches the monitor, and with it the screen, of an Xorg to another size
// that it knows: 640x480, 800x600, 1024x768, 1280x720 and 1920x1080 among them.
func (s *Server) Mode(width, height int) {
	s.t.Helper()
	s.Run("xrandr", "--size", fmt.Sprintf("%dx%d", width, height))
}

// Plug gives an Xorg of 640x480 a second monitor of that size, to the right of the
// first.
func (s *Server) Plug() {
	s.t.Helper()
	s.Run("xrandr", "--addmode", "DUMMY1", "640x480")
	s.Run("xrandr", "--output", "DUMMY1", "--mode", "640x480", "--right-of", "DUMMY0")
}

// Unplug undoes Plug.
func (s *Server) Unplug() {
	s.t.Helper()
	s.Run("xrandr", "--output", "DUMMY1", "--off")
}
