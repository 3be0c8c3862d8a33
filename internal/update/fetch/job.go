package fetch

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/klauspost/compress/zstd"

	"portward/internal/update/delta"
	"portward/internal/update/pipe"
)

// A job is a wanted content.
type job struct {
	size int64
	uses int   // how many more times it will be asked for
	ways []way // the cheapest first; one of them is a blob
}

// A way is a stored file that a content can be made of.
type way struct {
	stored
	codec string          // of a blob
	patch delta.Algorithm // or nil
	old   pipe.Local      // for patch
}

// Prepare implements pipe.Server. What an earlier try left and is of no use any
// more is removed; all of it where there is no room for what is wanted. After it
// the cache holds no more than the blobs and patches that were chosen, and small
// files.
func (f *Fetcher) Prepare(w pipe.Want) (pipe.Plan, error) {
	if err := checkName(w.Name); err != nil {
		return pipe.Plan{}, err
	}
	if !isHash(w.SHA256) || w.Size < 0 || w.Size > pipe.MaxGet {
		return pipe.Plan{}, fmt.Errorf("no delivery: %q of %d bytes", clip(w.SHA256), w.Size)
	}
	data, err := f.signed(w.Name, w.SHA256, w.Size)
	if err != nil {
		return pipe.Plan{}, err
	}
	d, err := ParseDelivery(data)
	if err != nil {
		return pipe.Plan{}, err
	}
	if err := f.choose(d, w); err != nil {
		return pipe.Plan{}, err
	}
	kept := map[string]int64{w.SHA256: w.Size}
	for _, j := range f.jobs {
		kept[j.ways[0].hash] = j.ways[0].size
	}
	f.cache.sweep(kept)
	plan, more := f.plan()
	err = f.checkRoom(more)
	if err == nil {
		err = f.checkPlan(w, plan)
	}
	if err != nil {
		f.jobs = nil
		f.cache.sweep(nil)
		return pipe.Plan{}, err
	}
	return plan, nil
}

// choose fills the jobs.
func (f *Fetcher) choose(d Delivery, w pipe.Want) error {
	have := map[string]pipe.Local{}
	for _, l := range w.Have {
		if isHash(l.SHA256) {
			have[l.SHA256] = l
		}
	}
	f.jobs, f.came = map[string]*job{}, map[string]int64{}
	for _, file := range w.Files {
		if j := f.jobs[file.SHA256]; j != nil && j.size == file.Size {
			j.uses++
			continue
		}
		i, found := slices.BinarySearchFunc(d.Files, file.SHA256, func(i Item, hash string) int { return cmp.Compare(i.SHA256, hash) })
		if !found || d.Files[i].Size != file.Size {
			return fmt.Errorf("the delivery has no content %.12s of %d bytes", file.SHA256, file.Size)
		}
		f.jobs[file.SHA256] = &job{size: file.Size, uses: 1, ways: f.ways(d.Files[i], have)}
	}
	return nil
}

// ways answers what is possible, by what it costs. The blob comes first among
// equals.
func (f *Fetcher) ways(i Item, have map[string]pipe.Local) []way {
	list := []way{{stored: i.Blob.stored(), codec: i.Blob.Codec}}
	for _, d := range i.Deltas {
		a, known := delta.ByName(d.Algorithm)
		old, here := have[d.From]
		if known && here && i.Size <= delta.MaxSize {
			list = append(list, way{stored: d.stored(), patch: a, old: old})
		}
	}
	slices.SortStableFunc(list, func(a, b way) int { return cmp.Compare(f.remaining(a.stored), f.remaining(b.stored)) })
	return list
}

// plan counts the cheapest ways. A content that is used once leaves the cache
// before the next comes. more is what the cache will hold on top of what it does.
func (f *Fetcher) plan() (p pipe.Plan, more int64) {
	most := int64(0)
	for _, j := range f.jobs {
		all, rest := j.ways[0].size, f.remaining(j.ways[0].stored)
		p.Download += rest
		p.Scratch += all - rest
		if j.uses > 1 {
			more += rest
		} else {
			most = max(most, rest)
		}
	}
	more += most
	p.Scratch += more
	return p, more
}

// File implements pipe.Server. told counts the bytes of transfers; the totals
// of all contents add up to the plan's, unless a cheap way turns out to be none.
func (f *Fetcher) File(c pipe.File, whole bool, to io.Writer, told func(done, total int64)) error {
	j := f.jobs[c.SHA256]
	if j == nil || j.size != c.Size {
		return fmt.Errorf("content %.12s of %d bytes was not prepared", c.SHA256, c.Size)
	}
	for _, w := range j.ways {
		if whole && w.patch != nil {
			continue
		}
		out := &output{to: to, left: c.Size, sum: sha256.New()}
		err := f.take(w, c, out, told)
		switch {
		case err == nil:
			f.used(j, w)
			return nil
		case w.patch == nil || out.began || !isOfWay(err):
			return err
		}
		f.cache.drop(w.hash)
		f.log("content %.12s: no patch, %v", c.SHA256, err)
	}
	return fmt.Errorf("content %.12s: no way to it", c.SHA256) // cannot happen: there is a blob
}

// errOld is a dictionary that is not what it should be.
var errOld = errors.New("the old content is not there")

// isOfWay: another way may do without what is wrong.
func isOfWay(err error) bool {
	return errors.Is(err, errOld) || errors.Is(err, pipe.ErrNotFound) || errors.Is(err, pipe.ErrCorrupt)
}

func (f *Fetcher) used(j *job, w way) {
	if j.uses--; j.uses <= 0 {
		f.cache.drop(w.hash)
	}
}

// take makes a content one way.
func (f *Fetcher) take(w way, c pipe.File, out *output, told func(done, total int64)) error {
	var old []byte
	if w.patch != nil {
		var err error
		if old, err = readOld(w.old); err != nil {
			return err
		}
	}
	if err := f.fetch(w.stored, told); err != nil {
		return err
	}
	file, err := f.cache.root.Open(w.hash + partSuffix)
	if err != nil {
		return err
	}
	defer file.Close()
	err = w.decode(old, file, out, c.Size)
	if out.gone != nil {
		return out.gone
	}
	if err == nil {
		err = out.check(c)
	}
	if err != nil {
		f.cache.drop(w.hash)
		return fmt.Errorf("%w: content %.12s: %w", pipe.ErrCorrupt, c.SHA256, err)
	}
	return nil
}

func (w way) decode(old []byte, from io.Reader, to io.Writer, size int64) error {
	switch {
	case w.patch != nil:
		return w.patch.Patch(old, from, to, size)
	case w.codec == None:
		_, err := io.Copy(to, from)
		return err
	}
	dec, err := zstd.NewReader(from,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderMaxMemory(MaxWindow),
		zstd.WithDecodeBuffersBelow(0))
	if err != nil {
		return err
	}
	defer dec.Close()
	_, err = io.Copy(to, dec)
	return err
}

// readOld answers a content of this machine, hashed as it is.
func readOld(l pipe.Local) ([]byte, error) {
	if !filepath.IsAbs(l.Path) {
		return nil, fmt.Errorf("%w: %q is no absolute path", errOld, clip(l.Path))
	}
	f, err := os.OpenFile(l.Path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errOld, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > delta.MaxSize {
		return nil, fmt.Errorf("%w: %s is no file to patch", errOld, l.Path)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("%w: %w", errOld, err)
	}
	if hashOf(data) != l.SHA256 {
		return nil, fmt.Errorf("%w: %s has changed", errOld, l.Path)
	}
	return data, nil
}

// An output passes on at most left bytes, and knows what they were.
type output struct {
	to    io.Writer
	left  int64
	sum   hash.Hash
	began bool
	gone  error // of to
}

var errTooMuch = errors.New("more bytes than were signed")

func (o *output) Write(p []byte) (int, error) {
	if int64(len(p)) > o.left {
		return 0, errTooMuch
	}
	o.began = o.began || len(p) > 0
	n, err := o.to.Write(p)
	o.sum.Write(p[:n])
	o.left -= int64(n)
	if err != nil {
		o.gone = err
	}
	return n, err
}

func (o *output) check(c pipe.File) error {
	if o.left > 0 {
		return fmt.Errorf("%d bytes are missing", o.left)
	}
	if hex.EncodeToString(o.sum.Sum(nil)) != c.SHA256 {
		return errors.New("wrong bytes")
	}
	return nil
}
