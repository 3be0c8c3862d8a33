package crash

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"portward/proof/medium"
)

const sector = 512

// write is k sectors of c at sector at.
func write(at, k int, c byte) medium.Record {
	return medium.Record{Off: int64(at * sector), Data: bytes.Repeat([]byte{c}, k*sector)}
}

var (
	flush = medium.Record{Kind: medium.Flush}
	base  = &medium.Image{Size: 1 << 20}
)

func mark(text string) medium.Record { return medium.Record{Kind: medium.Mark, Mark: text} }

// content is the first n sectors, a letter each.
func content(s State, log []medium.Record, n int) string {
	im, text := s.Image(base, log), ""
	for i := range n {
		c := byte('.')
		if b := im.Block(int64(i / 8)); b != nil && b[i%8*sector] != 0 {
			c = b[i%8*sector]
		}
		text += string(c)
	}
	return text
}

func contents(log []medium.Record, n int, o Options) []string {
	var list []string
	for _, s := range States(base, log, o) {
		list = append(list, content(s, log, n)+" "+s.Promise)
	}
	slices.Sort(list)
	return list
}

// Rule: what was flushed is there in every state; what came after, in any
// combination; no content twice.
func TestEverySubsetOfAShortWindow(t *testing.T) {
	log := []medium.Record{write(0, 1, 'a'), flush, write(1, 1, 'b'), write(2, 1, 'c')}
	got := contents(log, 3, Options{Sector: sector, All: 4})
	if want := []string{"... ", "a.. ", "a.c ", "ab. ", "abc "}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
}

// Rule: of a long window there is every prefix, every write alone and every
// single omission.
func TestLongWindow(t *testing.T) {
	var log []medium.Record
	for i := range 6 {
		log = append(log, write(i, 1, byte('a'+i)))
	}
	got := contents(log, 6, Options{Sector: sector, All: 2})
	for i := range 6 {
		whole := "abcdef"
		prefix := whole[:i+1] + "......"[i+1:]
		alone := "......"[:i] + whole[i:i+1] + "......"[i+1:]
		omission := whole[:i] + "." + whole[i+1:]
		for _, want := range []string{prefix, alone, omission} {
			if !slices.Contains(got, want+" ") {
				t.Errorf("no %q in %q", want, got)
			}
		}
	}
}

// Rule: a write of several sectors may be torn between any two, and either part
// may be the one that is there.
func TestTears(t *testing.T) {
	log := []medium.Record{write(0, 1, 'a'), write(1, 3, 'b')}
	got := contents(log, 4, Options{Sector: sector, All: 0})
	for _, want := range []string{"ab..", "abb.", "a.bb", "a..b", ".b..", ".bb.", "..bb", "...b"} {
		if !slices.Contains(got, want+" ") {
			t.Errorf("no %q in %q", want, got)
		}
	}
}

// Rule: a promise binds every state that can be found after it was made: also
// the one in which nothing since the last flush is there.
func TestPromise(t *testing.T) {
	log := []medium.Record{write(0, 1, 'a'), flush, mark("done"), write(1, 1, 'b'), flush, mark("more")}
	got := contents(log, 2, Options{Sector: sector, All: 4})
	if want := []string{".. ", "a. done", "ab more"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
}

// Rule: a content that comes back later is bound by what was promised by then.
func TestPromiseOfARepeatedContent(t *testing.T) {
	log := []medium.Record{write(0, 1, 'a'), flush, write(0, 1, 'b'), flush, write(0, 1, 'a'), flush, mark("done")}
	got := contents(log, 1, Options{Sector: sector, All: 4})
	if want := []string{". ", "a done", "b "}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
}

// Rule: the seed decides the random states, and they are added up to what is
// wanted.
func TestFill(t *testing.T) {
	var log []medium.Record
	for i := range 20 {
		log = append(log, write(i, 1, byte('a'+i)))
	}
	o := Options{Sector: sector, All: 2, Want: 500, Seed: 7}
	first, second := fmt.Sprint(contents(log, 20, o)), fmt.Sprint(contents(log, 20, o))
	if first != second {
		t.Error("the same seed listed other states")
	}
	if n := len(States(base, log, o)); n != 500 {
		t.Errorf("%d states, want 500", n)
	}
}
