package status

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const patience = 20 * time.Second

func put(t *testing.T, path string, life uint64) {
	t.Helper()
	if err := Write(path, Status{NetChild: NetChild{State: Up, Life: life}}); err != nil {
		t.Fatal(err)
	}
}

// wantLife receives until a status of that life comes.
func wantLife(t *testing.T, news <-chan Status, life uint64) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case s, ok := <-news:
			if !ok {
				t.Fatalf("closed before life %d", life)
			}
			if s.NetChild.Life == life {
				return
			}
			if s.NetChild.Life > life {
				t.Fatalf("life %d came, want %d", s.NetChild.Life, life)
			}
		case <-deadline:
			t.Fatalf("life %d did not come", life)
		}
	}
}

// watch answers the channel of a watch that has ended, without a trace, when
// the test does.
func watch(t *testing.T, path string) <-chan Status {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	fds := countFDs(t)
	ctx, cancel := context.WithCancel(t.Context())
	news, err := Watch(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range news {
		}
		goleak.VerifyNone(t, leaks)
		if now := countFDs(t); now > fds {
			t.Errorf("%d descriptors before the watch, %d after", fds, now)
		}
	})
	return news
}

func countFDs(t *testing.T) int {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Rule: the present status comes first.
func TestWatchPresent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	put(t, path, 1)
	news := watch(t, path)
	wantLife(t, news, 1)
	put(t, path, 2)
	wantLife(t, news, 2)
	put(t, path, 3)
	wantLife(t, news, 3)
}

// Rule: the file need not exist yet, and may go away in between.
func TestWatchAbsent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	news := watch(t, path)
	put(t, path, 1)
	wantLife(t, news, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put(t, path, 2)
	wantLife(t, news, 2)
}

// Rule: a late receiver finds the newest; the supervisor is never held up.
func TestWatchCoalesces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	put(t, path, 1)
	news := watch(t, path)
	for life := uint64(2); life <= 200; life++ {
		put(t, path, life)
	}
	received := 0
	deadline := time.After(patience)
	for last := uint64(0); last != 200; received++ {
		select {
		case s := <-news:
			if s.NetChild.Life <= last {
				t.Fatalf("life %d after %d", s.NetChild.Life, last)
			}
			last = s.NetChild.Life
		case <-deadline:
			t.Fatalf("the newest did not come, %d is the last", last)
		}
	}
	select {
	case s := <-news:
		t.Fatalf("life %d came twice or late", s.NetChild.Life)
	default:
	}
	t.Logf("%d of 200 received", received)
}

// Rule: a file that cannot be read is no news and does not end the watch.
func TestWatchSkipsGarbage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	put(t, path, 1)
	news := watch(t, path)
	wantLife(t, news, 1)
	for _, garbage := range []string{"", "{", `{"version": 9}`} {
		if err := os.WriteFile(path, []byte(garbage), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	put(t, path, 2)
	wantLife(t, news, 2)
}

// Rule: a directory that is replaced is watched again.
func TestWatchReplacedDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "root")
	path := filepath.Join(dir, "status.json")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, path, 1)
	news := watch(t, path)
	wantLife(t, news, 1)
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, path, 2)
	wantLife(t, news, 2)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, path, 3)
	wantLife(t, news, 3)
	put(t, path, 4)
	wantLife(t, news, 4)
}

// Rule: without a directory there is nothing to watch, which is an error.
func TestWatchNoDirectory(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	_, err := Watch(t.Context(), filepath.Join(t.TempDir(), "no", "status.json"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

// Rule: the end of the context ends the watch, also when nobody receives.
func TestWatchEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "status.json")
	put(t, path, 1)
	watch(t, path) // its cleanup is the test
}
