// Package viewertest knows how to drive the viewer's page in a real Chromium and
// to read from it what a person would see. It must never know how the page does it.
package viewertest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Patience is how long a condition on a page may take on a slow, busy machine.
const Patience = 60 * time.Second

// Browser starts a Chromium of its own for the test and answers its context, in
// which OpenPage opens pages. It accepts any certificate, keeps its profile in a
// temporary directory and is gone when the test ends, with all its processes.
// Without Chromium the test is skipped.
func Browser(t testing.TB) context.Context {
	t.Helper()
	path := find()
	if path == "" {
		t.Skip("needs chromium")
	}
	home, err := os.MkdirTemp("", "portward-chromium-")
	if err != nil {
		t.Fatal(err)
	}
	// Chromium's helpers may write a moment longer than it lives.
	t.Cleanup(func() { removeWithin(t, home, 10*time.Second) })
	t.Cleanup(func() { goneWithin(t, home, Patience) })

	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(home+"/profile"),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "TMPDIR="+home),
		chromedp.WSURLReadTimeout(Patience),
		chromedp.WindowSize(1280, 900),
		chromedp.IgnoreCertErrors,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func removeWithin(t testing.TB, dir string, d time.Duration) {
	t.Helper()
	deadline := time.Now().Add(d)
	for {
		err := os.RemoveAll(dir)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("removing chromium's directory: %v", err)
			return
		}
	}
}

// goneWithin waits until no process is left whose home is dir, proc(5); where
// there is no /proc it sees none.
func goneWithin(t testing.TB, dir string, d time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(d); ; time.Sleep(20 * time.Millisecond) {
		left := livingIn(dir)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("processes of chromium are left: %v", left)
			return
		}
	}
}

func livingIn(dir string) (processes []string) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range environs {
		b, err := os.ReadFile(name)
		if err == nil && bytes.Contains(b, []byte("HOME="+dir+"\x00")) {
			processes = append(processes, filepath.Base(filepath.Dir(name)))
		}
	}
	return processes
}
