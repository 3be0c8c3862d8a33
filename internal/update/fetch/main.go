package fetch

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portward/internal/update/pipe"
)

// Main is the fetcher's process: it gives up what it does not need, for good,
// and serves until in ends or ctx does. Whatever is under way then is cut off,
// since nobody waits for it. It may leave a read of in behind.
func Main(ctx context.Context, cfg Config, in io.Reader, out io.Writer) error {
	tidyEnvironment()
	f, err := New(cfg)
	if err != nil {
		return err
	}
	defer f.Close()
	lock, err := lockCache(cfg.Cache)
	if err != nil {
		return err
	}
	defer lock.Close()
	f.cache.tidy(time.Now())
	if err := confine(cfg, f.log); err != nil {
		return fmt.Errorf("giving up privileges: %w", err)
	}
	return f.serve(ctx, in, out)
}

// serve hears at once when in ends, which Serve, while it answers, does not.
func (f *Fetcher) serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.ctx = ctx
	r, w := io.Pipe()
	go func() {
		_, err := io.Copy(w, in)
		w.CloseWithError(err)
		cancel()
	}()
	defer r.Close()
	defer context.AfterFunc(ctx, func() { r.Close() })()
	err := pipe.Serve(r, out, f)
	if err == io.ErrClosedPipe {
		err = nil
	}
	return err
}

// lockCache waits until the fetcher before this one has gone.
func lockCache(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("locking the cache: %w", err)
		}
	}
}

// tidyEnvironment keeps what says how to reach the network and whom to trust.
func tidyEnvironment() {
	old := os.Environ()
	os.Clearenv()
	for _, pair := range old {
		name, value, _ := strings.Cut(pair, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR":
			os.Setenv(name, value)
		}
	}
}
