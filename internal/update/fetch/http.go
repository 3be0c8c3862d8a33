package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"portward/internal/update/pipe"
)

const (
	maxRedirects = 5
	leap         = 1 << 20 // progress, beyond all that was, that makes all tries available again
)

// errRefused is by a rule of ours: another try meets it again.
var errRefused = errors.New("refused")

// A passing error may be gone at the next try.
type passing struct {
	err   error
	after time.Duration // not before
	on    bool          // a leap further than ever
}

func (p *passing) Error() string { return p.err.Error() }
func (p *passing) Unwrap() error { return p.err }

// ask asks for a file until use is content with the answer, or no further try
// will help. use finds 200, 206, 304 or 416, and a body whose errors pass.
func (f *Fetcher) ask(name string, head func(http.Header), use func(*http.Response) error) error {
	if err := f.held(); err != nil {
		return err
	}
	defer f.tickets.save()
	for try := 1; ; try++ {
		err := f.once(name, head, use)
		var p *passing
		if f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		if !errors.As(err, &p) {
			return err
		}
		if p.on {
			try = 1
		}
		wait := max(p.after, f.pause(try))
		if wait > f.lim.patience {
			f.hold(p.after)
		}
		if try >= f.lim.tries || wait > f.lim.patience {
			return fmt.Errorf("%w: %w", pipe.ErrOffline, p.err)
		}
		f.log("%s: try %d: %v", name, try, p.err)
		if err := f.sleep(wait); err != nil {
			return err
		}
	}
}

func (f *Fetcher) pause(try int) time.Duration {
	d := f.lim.backoff << (try - 1)
	return d/2 + rand.N(d/2+1)
}

func (f *Fetcher) sleep(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-f.ctx.Done():
		return f.ctx.Err()
	case <-t.C:
		return nil
	}
}

func (f *Fetcher) once(name string, head func(http.Header), use func(*http.Response) error) error {
	ctx, cancel := context.WithCancelCause(f.ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.repo.JoinPath(name).String(), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", f.agent)
	head(req.Header)
	resp, err := f.client.Do(req)
	if err != nil {
		return classify(err)
	}
	defer resp.Body.Close()
	if err := f.checkStatus(resp); err != nil {
		return err
	}
	flow := &flow{f: f, ctx: ctx, body: resp.Body}
	defer flow.watch(cancel)()
	resp.Body = io.NopCloser(flow)
	return use(resp)
}

// classify tells what another try may mend.
func classify(err error) error {
	var certificate *tls.CertificateVerificationError
	if errors.Is(err, errRefused) || errors.As(err, &certificate) {
		return fmt.Errorf("%w: %w", pipe.ErrOffline, plain(err))
	}
	return &passing{err: plain(err)}
}

// plain drops the address from an error: it may be a redirect's, of any length.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (f *Fetcher) checkStatus(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK, code == http.StatusPartialContent, code == http.StatusNotModified,
		code == http.StatusRequestedRangeNotSatisfiable:
		return nil
	case code == http.StatusNotFound, code == http.StatusGone, code == http.StatusForbidden: // the last from buckets that cannot be listed
		return fmt.Errorf("%w: it answered %d", pipe.ErrNotFound, code)
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500 && code != http.StatusNetworkAuthenticationRequired:
		return &passing{err: fmt.Errorf("it answered %d", code), after: f.retryAfter(resp.Header.Get("Retry-After"))}
	default:
		return fmt.Errorf("%w: it answered %d", pipe.ErrOffline, code)
	}
}

// retryAfter reads seconds or a date.
func (f *Fetcher) retryAfter(text string) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return min(time.Duration(n)*time.Second, f.lim.hold)
	}
	if t, err := http.ParseTime(text); err == nil {
		return min(max(time.Until(t), 0), f.lim.hold)
	}
	return 0
}

// held is the error while a server wants to be left alone, in whatever process
// it said so. A time further ahead than any server can have set is a clock's.
func (f *Fetcher) held() error {
	until, err := time.Parse(time.RFC3339, string(f.cache.read(holdName, 64)))
	if wait := time.Until(until); err == nil && wait > 0 && wait <= f.lim.hold {
		return fmt.Errorf("%w: it asked to be left alone until %s", pipe.ErrOffline, until.Format("15:04 MST"))
	}
	return nil
}

func (f *Fetcher) hold(d time.Duration) {
	if d <= 0 {
		return
	}
	if err := f.cache.write(holdName, []byte(time.Now().Add(d).UTC().Format(time.RFC3339))); err != nil {
		f.log("%v", err)
	}
}

func checkRedirect(next *http.Request, before []*http.Request) error {
	last := before[len(before)-1].URL
	switch err := checkURL(next.URL); {
	case len(before) > maxRedirects:
		return fmt.Errorf("more than %d redirects are %w", maxRedirects, errRefused)
	case err != nil:
		return fmt.Errorf("a redirect is %w: %w", errRefused, err)
	case last.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("a redirect from https to %s is %w", next.URL.Scheme, errRefused)
	}
	return nil
}

// checkProxy says who it is that does not let us through.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		return nil
	case code >= 500:
		return fmt.Errorf("the proxy %s answered %d", proxy.Host, code)
	default:
		return fmt.Errorf("%w: the proxy %s answered %d", errRefused, proxy.Host, code)
	}
}

// small is a small file, and what its server calls this state of it.
type small struct {
	body  []byte
	etag  string
	same  bool // it is what etag names
	fresh bool // of a question: past all caches
}

// small asks for a file of at most most bytes; q.etag makes the question
// conditional.
func (f *Fetcher) small(name string, most int64, q small) (a small, err error) {
	err = f.ask(name, func(h http.Header) {
		if q.etag != "" {
			h.Set("If-None-Match", q.etag)
		}
		if q.fresh {
			h.Set("Cache-Control", "no-cache")
		}
	}, func(resp *http.Response) (err error) {
		a = small{etag: settled(resp.Header)}
		switch {
		case resp.StatusCode == http.StatusNotModified && q.etag != "":
			a.same = true
			return nil
		case resp.StatusCode != http.StatusOK:
			return fmt.Errorf("%w: it answered %d to a plain question", pipe.ErrOffline, resp.StatusCode)
		}
		a.body, err = readSmall(resp.Body, most, time.Now().Add(f.lim.small))
		return err
	})
	return a, err
}

// settled answers the ETag, unless the file was young when it was sent: common
// servers make ETags of its time in seconds and its size, and a next state of
// the same second and size would not be seen.
func settled(h http.Header) string {
	etag := h.Get("ETag")
	if !isETag(etag) {
		return ""
	}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return etag
	}
	if sent, err := http.ParseTime(h.Get("Date")); err != nil || sent.Sub(modified) < 2*time.Second {
		return ""
	}
	return etag
}

// isETag: a cache may hold anything, and what is no ETag would spoil each
// request that it is put into.
func isETag(s string) bool {
	s = strings.TrimPrefix(s, "W/")
	return len(s) >= 2 && len(s) <= 256 && s[0] == '"' && s[len(s)-1] == '"' &&
		!strings.ContainsFunc(s[1:len(s)-1], func(r rune) bool { return r <= ' ' || r > '~' || r == '"' })
}

func readSmall(r io.Reader, most int64, end time.Time) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(&until{r, end}, most+1))
	if err != nil {
		return nil, err
	}
	if isPage(body) {
		return nil, fmt.Errorf("%w: it answered with a web page; a captive portal?", pipe.ErrOffline)
	}
	if int64(len(body)) > most {
		return nil, fmt.Errorf("%w: more than %d bytes", pipe.ErrCorrupt, most)
	}
	return body, nil
}

// isPage: no small file of ours begins like this.
func isPage(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, "\ufeff \t\r\n"), []byte("<"))
}

// hasPage: a page in the place of a blob, whose first bytes tell nothing.
func hasPage(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/html")
}
