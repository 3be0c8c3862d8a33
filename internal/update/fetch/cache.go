package fetch

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"portward/internal/update/pipe"
)

// Files of the cache, beside those of blobs.
const (
	timestampName = "metadata/timestamp.json" // in the repository, where it alone changes
	timestampFile = "timestamp"
	ticketsFile   = "tickets"
	holdName      = "hold"
	lockName      = "lock"
	partSuffix    = ".part"
	etagSuffix    = ".etag"
	jsonSuffix    = ".json"
	tempName      = ".tmp"

	maxSeen        = 2 * pipe.MaxGet // bytes of timestampFile
	maxTicketsFile = 256 << 10
)

// A cache is a directory of ours. Nothing in it is believed, so that nothing of
// it is written durably: what a power cut spoils is fetched again.
type cache struct{ root *os.Root }

func openCache(dir string) (*cache, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("cache %q: not an absolute path", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &cache{root}, nil
}

func (c *cache) close() error { return c.root.Close() }

// read answers at most most bytes of a file, and nothing of one that it cannot
// read.
func (c *cache) read(name string, most int64) []byte {
	f, err := c.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	return data
}

func (c *cache) write(name string, data []byte) error {
	err := c.root.WriteFile(tempName, data, 0o600)
	if err == nil {
		err = c.root.Rename(tempName, name)
	}
	if err != nil { // a directory may be in the way
		c.root.RemoveAll(tempName)
		c.root.RemoveAll(name)
	}
	return noSpace(err)
}

// each walks over what is in the cache and removes what it is told to.
func (c *cache) each(drop func(name string, info os.FileInfo) bool) {
	dir, err := c.root.Open(".")
	if err != nil {
		return
	}
	defer dir.Close()
	for {
		names, _ := dir.Readdirnames(1000)
		for _, name := range names {
			if info, err := c.root.Lstat(name); err == nil && drop(name, info) {
				c.root.RemoveAll(name)
			}
		}
		if len(names) == 0 {
			return
		}
	}
}

// storedOf is whose a file of a blob or a delivery is; empty for other files.
func storedOf(name string) (hash, suffix string) {
	for _, suffix := range []string{partSuffix, etagSuffix, jsonSuffix} {
		if hash, ok := strings.CutSuffix(name, suffix); ok && isHash(hash) {
			return hash, suffix
		}
	}
	return "", ""
}

// unusedFor is after how long nobody will go on with a download.
const unusedFor = 7 * 24 * time.Hour

// tidy leaves nothing but what fetchers keep, in their sizes, and of blobs what
// is young: whoever comes back for them says so in Prepare.
func (c *cache) tidy(now time.Time) {
	most := map[string]int64{timestampFile: maxSeen, ticketsFile: maxTicketsFile, holdName: 64, lockName: 64}
	c.each(func(name string, info os.FileInfo) bool {
		if hash, _ := storedOf(name); hash != "" {
			age := now.Sub(info.ModTime())
			return !info.Mode().IsRegular() || age > unusedFor || age < -time.Hour
		}
		n, known := most[name]
		return !known || !info.Mode().IsRegular() || info.Size() > n
	})
}

// sweep removes what belongs to blobs and deliveries but those in kept, and of
// these what is larger than it says there.
func (c *cache) sweep(kept map[string]int64) {
	c.each(func(name string, info os.FileInfo) bool {
		hash, suffix := storedOf(name)
		size, keep := kept[hash]
		return hash != "" && (!keep || suffix != etagSuffix && info.Size() > size)
	})
}

// drop removes a stored file.
func (c *cache) drop(hash string) {
	c.root.RemoveAll(hash + partSuffix)
	c.root.Remove(hash + etagSuffix)
}

// noSpace gives the errors of a full disk their name.
func noSpace(err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return fmt.Errorf("%w: %w", pipe.ErrNoSpace, err)
		}
	}
	return err
}

// signed answers a small file whose hash is known: from the cache, or else from
// the repository, asked a second time past all caches between.
func (f *Fetcher) signed(name, hash string, size int64) ([]byte, error) {
	if data := f.cache.read(hash+jsonSuffix, size+1); data != nil && hashOf(data) == hash {
		return data, nil
	}
	for _, fresh := range []bool{false, true} {
		a, err := f.small(name, size, small{fresh: fresh})
		if err != nil && !errors.Is(err, pipe.ErrCorrupt) {
			return nil, err
		}
		if err == nil && hashOf(a.body) == hash {
			if err := f.cache.write(hash+jsonSuffix, a.body); err != nil {
				f.log("%v", err)
			}
			return a.body, nil
		}
	}
	return nil, fmt.Errorf("%w: another file than the signed one", pipe.ErrCorrupt)
}

// seen is the last answer to a question for what changes.
type seen struct {
	URL  string `json:"url"`
	ETag string `json:"etag"`
	Body []byte `json:"body"`
}

// timestamp asks for the one file that changes. When what we saw last is what
// the caller holds, it costs no body to hear that it is still the same.
func (f *Fetcher) timestamp(most int64, have string) ([]byte, error) {
	at := f.repo.JoinPath(timestampName).String()
	var last seen
	if err := json.Unmarshal(f.cache.read(timestampFile, maxSeen), &last); err != nil || last.URL != at || hashOf(last.Body) != have || !isETag(last.ETag) {
		last = seen{}
	}
	a, err := f.small(timestampName, most, small{etag: last.ETag})
	if err != nil {
		return nil, err
	}
	if a.same {
		return nil, pipe.ErrSame
	}
	if now := (seen{at, a.etag, a.body}); now.ETag != last.ETag || !bytes.Equal(now.Body, last.Body) {
		f.remember(now)
	}
	if hashOf(a.body) == have {
		return nil, pipe.ErrSame
	}
	return a.body, nil
}

func (f *Fetcher) remember(s seen) {
	data, err := json.Marshal(s)
	if err == nil {
		err = f.cache.write(timestampFile, data)
	}
	if err != nil {
		f.log("%v", err)
	}
}

// maxTickets is of how many hosts sessions are kept.
const maxTickets = 4

// tickets are TLS sessions that outlive the process, so that the next check
// need not be sent certificates. They are as secret as a session: 0600.
type tickets struct {
	cache *cache

	mu    sync.Mutex
	byKey map[string]ticket
	dirty bool
}

type ticket struct {
	Ticket []byte `json:"ticket"`
	State  []byte `json:"state"`
}

func openTickets(c *cache) *tickets {
	t := &tickets{cache: c, byKey: map[string]ticket{}}
	if err := json.Unmarshal(c.read(ticketsFile, maxTicketsFile), &t.byKey); err != nil || t.byKey == nil {
		t.byKey = map[string]ticket{}
	}
	return t
}

// Get implements tls.ClientSessionCache.
func (t *tickets) Get(key string) (*tls.ClientSessionState, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept, ok := t.byKey[key]
	if !ok {
		return nil, false
	}
	state, err := tls.ParseSessionState(kept.State)
	if err != nil {
		return nil, false
	}
	session, err := tls.NewResumptionState(kept.Ticket, state)
	return session, err == nil
}

// Put implements tls.ClientSessionCache.
func (t *tickets) Put(key string, session *tls.ClientSessionState) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = true
	delete(t.byKey, key)
	if session == nil {
		return
	}
	data, state, err := session.ResumptionState()
	if err != nil || state == nil {
		return
	}
	raw, err := state.Bytes()
	if err != nil {
		return
	}
	for other := range t.byKey {
		if len(t.byKey) >= maxTickets {
			delete(t.byKey, other)
		}
	}
	t.byKey[key] = ticket{data, raw}
}

// save keeps them. Without, the next check costs some bytes more.
func (t *tickets) save() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dirty {
		return
	}
	data, err := json.Marshal(t.byKey)
	if err == nil {
		err = t.cache.write(ticketsFile, data)
	}
	t.dirty = err != nil
}
