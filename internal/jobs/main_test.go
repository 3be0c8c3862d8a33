package jobs_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"portward/internal/jobs"
	"portward/internal/jobs/jobstest"
)

func TestMain(m *testing.M) {
	launchctlChild()
	jobstest.Child()
	hostChild()
	os.Exit(m.Run())
}

// bind is a BindService on stream sockets in dir.
func bind(dir string) func(string) (*os.File, error) {
	return func(name string) (*os.File, error) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			return nil, err
		}
		l.SetUnlinkOnClose(false)
		defer l.Close()
		return l.File()
	}
}

// shortDir is a directory whose sockets have names short enough to be bound.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "jobs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func options(t testing.TB) jobs.Options {
	dir := shortDir(t)
	return jobs.Options{RunDir: dir, BindService: bind(dir), Environ: os.Environ(), Log: t.Logf}
}

// open starts an engine that is closed when the test ends.
func open(t testing.TB, o jobs.Options) *jobs.Embedded {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs Linux: the embedded engine is not supported here")
	}
	e, err := jobs.NewEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, e) })
	return e
}

func shut(t testing.TB, e *jobs.Embedded) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), jobstest.Patience)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}

func harness(t *testing.T) jobstest.Harness {
	o := options(t)
	e := open(t, o)
	return jobstest.Harness{
		Engine: e, Login: e.Login, Logout: e.Logout, Addr: e.Addr,
		Dial: func(name string) (net.Conn, error) {
			return net.DialTimeout("unix", filepath.Join(o.RunDir, name), 10*time.Second)
		},
	}
}

func TestEmbedded(t *testing.T) { jobstest.Test(t, harness) }

// TestClient: the contract holds across a process border.
func TestClient(t *testing.T) {
	jobstest.Test(t, func(t *testing.T) jobstest.Harness {
		h := harness(t)
		e := h.Engine
		c := jobs.NewClient(func(ctx context.Context, q []byte) ([]byte, error) { return jobs.Handle(ctx, e, q), nil })
		events, err := e.Watch(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ev := range events {
				if err := c.Deliver(jobs.MarshalEvent(ev)); err != nil {
					t.Error(err)
				}
			}
		}()
		t.Cleanup(func() { shut(t, e.(*jobs.Embedded)); <-done })
		h.Engine = c
		return h
	})
}
