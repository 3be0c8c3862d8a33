package fetch

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"portward/internal/update/pipe"
)

// wholes makes every answer with a blob be 200 and the whole, whatever range was
// asked for, cut off where cut says for the nth.
func wholes(s *shelf, data []byte, cut func(n int) int) {
	n := 0
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/b/") {
			return false
		}
		w.(*counted).cut = int64(cut(n))
		n++
		w.Write(data)
		return true
	})
}

// Rule: to begin again and come as far as before is no progress, however much
// was moved for it: a mirror that knows no ranges and cuts is given up.
func TestWholeAndCut(t *testing.T) {
	s := newShelf(t)
	content := large()
	file, want := one(t, s, content, None)
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	s.count("")
	wholes(s, content, func(int) int { return 3 << 20 })
	wantErr(t, f.File(file, false, io.Discard, nil), pipe.ErrOffline)
	if n := s.count("b/"); n > f.lim.tries+1 {
		t.Errorf("%d requests", n)
	}
	s.setTrick(nil)
	s.took()
	prepare(t, f, want)
	take(t, f, file)
	if moved := s.took(); moved > file.Size-(2<<20) {
		t.Errorf("%d bytes moved: what was here is lost", moved)
	}
}

// Rule: a stored file is given up after twice its bytes and a little, even where
// each try gets further than the one before.
func TestTwiceIsEnough(t *testing.T) {
	s := newShelf(t)
	content := large()
	file, want := one(t, s, content, None)
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	s.took()
	wholes(s, content, func(n int) int { return min((n+2)<<20+9, len(content)-1) })
	err := f.File(file, false, io.Discard, nil)
	wantErr(t, err, pipe.ErrOffline)
	wantText(t, err, "bytes came")
	err = f.File(file, true, io.Discard, nil) // asked again, it is no new file
	wantErr(t, err, pipe.ErrOffline)
	if moved := s.took(); moved > 2*file.Size+4<<20 {
		t.Errorf("%d bytes moved for %d", moved, file.Size)
	}
	s.setTrick(nil)
	prepare(t, f, want)
	take(t, f, file)
}

// Rule: a transfer that gets on, if slowly and with many breaks, is not given up.
func TestManyBreaks(t *testing.T) {
	s := newShelf(t)
	file, want := one(t, s, large(), None)
	f := fetcher(t, s.URL)
	prepare(t, f, want)
	s.took()
	cutAt(s, leap/2+1)
	take(t, f, file)
	if moved := s.took(); moved != file.Size {
		t.Errorf("%d bytes moved for %d", moved, file.Size)
	}
}

// Rule: a small file that is cut again and again is given up, however large.
func TestSmallCut(t *testing.T) {
	s := newShelf(t)
	s.put("x", make([]byte, 3<<20))
	s.setTrick(func(w http.ResponseWriter, r *http.Request) bool {
		w.(*counted).cut = 2 << 20
		return false
	})
	f := fetcher(t, s.URL)
	_, err := f.Get("x", pipe.MaxGet, "")
	wantErr(t, err, pipe.ErrOffline)
	if n := s.count(""); n != f.lim.tries {
		t.Errorf("%d requests", n)
	}
}
