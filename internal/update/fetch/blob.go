package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"time"

	"portward/internal/update/pipe"
)

// A part is what of a stored file is here, and goes on where an earlier process
// was killed. Its owner closes it.
type part struct {
	f     *Fetcher
	of    stored
	file  *os.File
	at    int64     // what is here; all pieces before the one it is in are right
	end   int64     // how far it shall go
	far   int64     // where it was when all tries were available
	piece hash.Hash // of that piece so far
	etag  string    // strong, or empty
	fresh bool      // past all caches: an answer was wrong before
	told  func(done, total int64)
	began int64     // what was here at first
	last  time.Time // when told was called last
}

// remaining is what is still to be transferred, if what is here is right.
func (f *Fetcher) remaining(s stored) int64 {
	info, err := f.cache.root.Lstat(s.hash + partSuffix)
	if err != nil || !info.Mode().IsRegular() || info.Size() > s.size {
		return s.size
	}
	return s.size - info.Size()
}

// openPart reads again what is here and drops what is wrong. What cannot be
// read at all makes place.
func (f *Fetcher) openPart(s stored) (*part, error) {
	p, err := f.tryPart(s)
	if err != nil && !errors.Is(err, pipe.ErrNoSpace) {
		f.cache.root.RemoveAll(s.hash + partSuffix)
		p, err = f.tryPart(s)
	}
	return p, err
}

func (f *Fetcher) tryPart(s stored) (*part, error) {
	file, err := f.cache.root.OpenFile(s.hash+partSuffix, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, noSpace(err)
	}
	p := &part{f: f, of: s, file: file, end: s.size, piece: sha256.New()}
	if err := p.readAgain(); err != nil {
		file.Close()
		return nil, err
	}
	if etag := string(f.cache.read(s.hash+etagSuffix, 512)); p.at > 0 && isStrong(etag) {
		p.etag = etag
	}
	p.began, p.far = p.at, p.at
	return p, nil
}

func (p *part) readAgain() error {
	for buf := make([]byte, chunk); p.at < p.of.size; {
		n, err := p.file.ReadAt(buf[:min(chunk, p.pieceEnd()-p.at)], p.at)
		if right := p.add(buf[:n]); !right {
			break
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	return p.file.Truncate(p.at)
}

func (p *part) pieceEnd() int64 { return min((p.at/p.of.step+1)*p.of.step, p.of.size) }

// add takes bytes of the present piece that are in the file. When they end it
// and it is wrong, the part is set back to its beginning.
func (p *part) add(b []byte) (right bool) {
	begin, end := p.at/p.of.step*p.of.step, p.pieceEnd()
	p.piece.Write(b)
	p.at += int64(len(b))
	if p.at < end {
		return true
	}
	right = hex.EncodeToString(p.piece.Sum(nil)) == p.of.pieces[begin/p.of.step]
	if !right {
		p.at = begin
	}
	p.piece.Reset()
	return right
}

// fetch makes a stored file whole in the cache, and right. When the disk is full
// it gives back all that the cache took.
func (f *Fetcher) fetch(s stored, told func(done, total int64)) error {
	err := f.complete(s, told)
	if errors.Is(err, pipe.ErrNoSpace) {
		f.cache.sweep(nil)
	}
	return err
}

func (f *Fetcher) complete(s stored, told func(done, total int64)) error {
	if s.size == 0 && s.hash != hashOf(nil) {
		return fmt.Errorf("%w: nothing, and not by the hash of nothing", pipe.ErrCorrupt)
	}
	p, err := f.openPart(s)
	if err != nil {
		return err
	}
	defer p.file.Close()
	if err := f.checkRoom(p.end - p.at); err != nil {
		return err
	}
	p.told = told
	for p.at < p.end {
		err := f.ask("b/"+s.hash, p.head, p.take)
		if errors.Is(err, pipe.ErrCorrupt) && !p.fresh {
			p.fresh = true
			continue
		}
		if err != nil {
			return err
		}
	}
	p.tell(true)
	return nil
}

func (p *part) head(h http.Header) {
	if p.fresh {
		h.Set("Cache-Control", "no-cache")
	}
	switch {
	case p.end < p.of.size:
		h.Set("Range", fmt.Sprintf("bytes=%d-%d", p.at, p.end-1))
	case p.at > 0:
		h.Set("Range", fmt.Sprintf("bytes=%d-", p.at))
	}
	if p.at > 0 && p.etag != "" {
		h.Set("If-Range", p.etag)
	}
}

// take reads an answer to the part's end. An answer that breaks is progress only
// where it got further than all before: one may begin at the beginning again.
func (p *part) take(resp *http.Response) error {
	err := p.begin(resp)
	if err == nil {
		err = p.read(resp)
	}
	var broken *passing
	if errors.As(err, &broken) && p.at >= p.far+leap {
		p.far, broken.on = p.at, true
	}
	return err
}

func (p *part) read(resp *http.Response) error {
	for buf := make([]byte, chunk); p.at < p.end; {
		n, err := resp.Body.Read(buf[:min(chunk, p.pieceEnd()-p.at)])
		if err := p.count(n); err != nil {
			return err
		}
		if _, err := p.file.WriteAt(buf[:n], p.at); err != nil {
			return noSpace(err)
		}
		whole := p.pieceEnd()
		if right := p.add(buf[:n]); !right {
			if err := p.again(whole); err != nil {
				return err
			}
		}
		p.tell(false)
		switch {
		case p.at == p.end:
			return nil
		case err == io.EOF:
			return &passing{err: io.ErrUnexpectedEOF}
		case err != nil:
			return err
		}
	}
	return nil
}

// count gives a stored file up when all that came for it could have made two of
// it: one that is wrong on the way and one past all caches.
func (p *part) count(n int) error {
	p.f.came[p.of.hash] += int64(n)
	if came := p.f.came[p.of.hash]; came > 2*p.of.size+leap {
		return fmt.Errorf("%w: %d bytes came for a file of %d, and not all of it", pipe.ErrOffline, came, p.of.size)
	}
	return nil
}

// begin makes the part end where the answer begins. What is here stays until
// something else is known to come.
func (p *part) begin(resp *http.Response) error {
	at := p.at
	switch {
	case resp.StatusCode == http.StatusPartialContent && p.isRest(resp.Header):
	case resp.StatusCode == http.StatusOK && p.end == p.of.size:
		at = 0
	case resp.StatusCode == http.StatusOK:
		return fmt.Errorf("%w: and it knows no ranges", pipe.ErrCorrupt)
	default:
		p.reset()
		return &passing{err: fmt.Errorf("it answered %d and range %q", resp.StatusCode, clip(resp.Header.Get("Content-Range")))}
	}
	if n := resp.ContentLength; n >= 0 && n != p.end-at {
		if hasPage(resp.Header) {
			return fmt.Errorf("%w: it answered with a web page; a captive portal?", pipe.ErrOffline)
		}
		return fmt.Errorf("%w: %d bytes instead of %d", pipe.ErrCorrupt, n, p.end-at)
	}
	if at < p.at {
		p.reset()
	}
	p.keepETag(resp.Header.Get("ETag"))
	return nil
}

// isRest: the answer is the very range that was asked for.
func (p *part) isRest(h http.Header) bool {
	text := h.Get("Content-Range")
	want := fmt.Sprintf("bytes %d-%d/", p.at, p.end-1)
	return text == want+"*" || text == want+fmt.Sprint(p.of.size)
}

func (p *part) reset() {
	p.at, p.began, p.etag = 0, 0, ""
	p.piece.Reset()
}

// isStrong: only such an ETag stands for the very bytes.
func isStrong(etag string) bool { return isETag(etag) && etag[0] == '"' }

// keepETag is for the next process; without one it asks for a range of whatever
// is there, and the hash tells.
func (p *part) keepETag(etag string) {
	if etag == p.etag || !isStrong(etag) {
		return
	}
	p.etag = etag
	if err := p.f.cache.write(p.of.hash+etagSuffix, []byte(etag)); err != nil {
		p.f.log("%v", err)
	}
}

// again asks for the one piece that was wrong, which goes up to end, past all
// caches, while the answer that brought it waits: so a flipped byte costs one
// piece.
func (p *part) again(end int64) error {
	if p.fresh {
		return fmt.Errorf("%w, twice", pipe.ErrCorrupt)
	}
	q := &part{f: p.f, of: p.of, file: p.file, at: p.at, far: p.at, end: end, piece: sha256.New(), fresh: true}
	err := p.f.ask("b/"+p.of.hash, q.head, q.take)
	switch {
	case err == nil:
		p.at = end
	case errors.Is(err, pipe.ErrCorrupt):
		p.fresh = true
	}
	return err
}

// tell reports what was transferred of what had to be, not too often.
func (p *part) tell(last bool) {
	if now := time.Now(); p.told != nil && (last || now.Sub(p.last) > 100*time.Millisecond) {
		p.last = now
		p.told(p.at-p.began, p.end-p.began)
	}
}
