package viewer

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"testing"

	"portward/internal/viewer/viewertest"

	"github.com/klauspost/compress/s2"
)

// What the page makes of good updates and of such that are none, fed to its own
// modules.
func TestPageDecodes(t *testing.T) {
	browser := viewertest.Browser(t)
	st := play(t, "127.0.0.1:0", 1, selfSigned(t))
	page := viewertest.OpenPage(t, browser, "https://"+st.addr+"/")
	t.Run("blocks", func(t *testing.T) { refuseBlocks(t, page) })
	t.Run("repeats", func(t *testing.T) { repeats(t, page) })
	t.Run("messages", func(t *testing.T) { refuseMessages(t, page) })
}

// The decoder refuses what is no block of the expected size, and never answers
// pixels for it.
func refuseBlocks(t *testing.T, page pageContext) {
	good := s2.EncodeSnappy(nil, bytes.Repeat([]byte("abcdefgh"), 100))
	blocks := map[string][]byte{
		"empty":                 {},
		"endless length":        {0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"other length":          {4, 12, 1, 2, 3, 4},
		"nothing behind length": good[:2],
		"truncated":             good[:len(good)-1],
		"trailing":              append(bytes.Clone(good), 0, 1),
		"copy before the start": {0xa0, 0x06, 0x01, 0x01},
		"copy from nowhere":     {0xa0, 0x06, 0x00, 1, 0x01, 0x00},
		"copy without offset":   {0xa0, 0x06, 0x00, 1, 0x02},
		"far copy":              {0xa0, 0x06, 0x00, 1, 0x03, 0xff, 0xff, 0xff, 0xff},
		"literal too long":      {0xa0, 0x06, 0xfc, 0xff, 0xff, 0xff, 0xff},
		"literal without size":  {0xa0, 0x06, 0xf4},
	}
	for name, block := range blocks {
		if got := unsnap(t, page, block, 800); got != "refused" {
			t.Errorf("%s: %.60s", name, got)
		}
	}
	if got := unsnap(t, page, good, 800); got != "abcdefgh" {
		t.Errorf("the good block: %s", got)
	}
}

// What repeats, with any period, comes out as it went in: these are the copies
// that overlap, that are long, and that reach far back.
func repeats(t *testing.T, page pageContext) {
	for _, period := range []int{1, 2, 3, 4, 7, 23, 24, 25, 63, 64, 65, 1000, 2047, 2048, 70000} {
		data := make([]byte, 3*period+500)
		r := rand.New(rand.NewPCG(uint64(period), 0))
		for i := range data {
			if data[i] = byte(r.Uint32()); i >= period {
				data[i] = data[i-period]
			}
		}
		got := await(t, page, fmt.Sprintf(`import("/update.js").then((m) => {
			const bytes = (s) => Uint8Array.from(atob(s), (c) => c.charCodeAt(0));
			const want = bytes(%q);
			return String(m.unsnap(bytes(%q), want.length).findIndex((b, i) => b !== want[i]));
		})`, base64.StdEncoding.EncodeToString(data), base64.StdEncoding.EncodeToString(s2.EncodeSnappy(nil, data))))
		if got != "-1" {
			t.Errorf("period %d: byte %s is another", period, got)
		}
	}
}

// A message whose header cannot be is refused before anything of it is drawn.
func refuseMessages(t *testing.T, page pageContext) {
	// One of 8x4 pixels, with two rectangles.
	good := []byte{1, 1, 7, 0, 9, 0, 0, 0, 8, 0, 4, 0, 2, 0, 0, 0, 0, 0, 2, 0, 1, 0, 7, 0, 3, 0, 1, 0, 1, 0}
	good = append(good, s2.EncodeSnappy(nil, []byte("aaaabbbbcccc"))...)
	with := func(at int, values ...byte) []byte {
		m := bytes.Clone(good)
		copy(m[at:], values)
		return m
	}
	for name, m := range map[string][]byte{
		"empty":                {},
		"half a header":        good[:13],
		"no room for the rest": good[:29],
		"no block":             good[:30],
		"half a block":         good[:len(good)-1],
		"another version":      with(0, 2),
		"another kind":         with(1, 2),
		"no rectangle":         with(12, 0),
		"more rectangles":      with(12, 0xff, 0xff),
		"fewer rectangles":     with(12, 1),
		"no width":             with(18, 0),
		"no height":            with(20, 0),
		"too wide":             with(18, 9),
		"too high":             with(20, 5),
		"too far right":        with(22, 8),
		"too far down":         with(24, 4),
		"more pixels":          with(18, 8, 0, 4, 0), // all, and one twice
		"no picture":           with(8, 0, 0, 0, 0),
	} {
		if got := read(t, page, m); got != "refused" {
			t.Errorf("%s: %.60s", name, got)
		}
	}
	if got := read(t, page, good); got != "7 9 8x4: 0,0 2x1 97,97,97,97,98,98,98,98; 7,3 1x1 99,99,99,99" {
		t.Errorf("the good message: %s", got)
	}
}

// read answers what the page makes of a message, in words.
func read(t *testing.T, page pageContext, message []byte) string {
	t.Helper()
	return await(t, page, fmt.Sprintf(`import("/update.js").then((m) => {
		const bytes = Uint8Array.from(atob(%q), (c) => c.charCodeAt(0));
		try {
			const u = m.readUpdate(bytes.buffer);
			return `+"`${u.index} ${u.seq} ${u.width}x${u.height}: ` + u.rects.map((r) => `${r.x},${r.y} ${r.w}x${r.h} ${r.pixels.join()}`)"+`.join("; ");
		} catch { return "refused"; }
	})`, base64.StdEncoding.EncodeToString(message)))
}

// unsnap answers the first letters of what the page's decoder makes of block.
func unsnap(t *testing.T, page pageContext, block []byte, size int) string {
	t.Helper()
	return await(t, page, fmt.Sprintf(`import("/update.js").then((m) => {
		const block = Uint8Array.from(atob(%q), (c) => c.charCodeAt(0));
		try { return String.fromCharCode(...m.unsnap(block, %d).slice(0, 8)); } catch { return "refused"; }
	})`, base64.StdEncoding.EncodeToString(block), size))
}
