package wire

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"
	"unicode/utf8"
)

// A generator makes dictionaries of bytes: near to messages, since it knows
// their keys and some of their values, and far from them where bytes say so.
type generator struct{ b []byte }

func (g *generator) byte() byte {
	if len(g.b) == 0 {
		return 0
	}
	v := g.b[0]
	g.b = g.b[1:]
	return v
}

func (g *generator) uint64() (v uint64) {
	for range g.byte() % 9 {
		v = v<<8 | uint64(g.byte())
	}
	return v
}

func (g *generator) string() string {
	words := []string{"", "1", "c2", ClaimAgent, ClaimTool, ReasonIdle, ReasonStopping, string(CodeBusy), "a/b", "\xff", "\n"}
	if n := int(g.byte()); n < 2*len(words) {
		return words[n%len(words)]
	}
	n := min(int(g.byte()), len(g.b))
	s := string(g.b[:n])
	g.b = g.b[n:]
	return s
}

func (g *generator) value(depth int) any {
	switch g.byte() % 14 {
	case 0:
		return g.byte() > 9
	case 1:
		return int64(g.uint64())
	case 2, 3:
		return g.uint64()
	case 4:
		return float64(g.byte())
	case 5, 6:
		return g.string()
	case 7:
		return []byte(g.string())
	case 8:
		return time.Unix(int64(g.byte()), 0)
	case 9:
		return UUID{g.byte()}
	case 10:
		return handle(HandleKind(g.byte() % 5))
	case 11:
		return int(g.byte())
	case 12:
		if depth < MaxDepth {
			return g.array(depth)
		}
	case 13:
		if depth < MaxDepth {
			return g.dict(depth+1, []string{"id", "uid"})
		}
	}
	return nil
}

func (g *generator) array(depth int) []any {
	a := make([]any, 0, 4)
	same := g.byte()
	for range g.byte() % 70 {
		if same%3 == 0 { // what a list of surfaces looks like
			a = append(a, handle(HandleKind(same>>2%4)))
			continue
		}
		a = append(a, g.value(depth+1))
	}
	return a
}

func (g *generator) dict(depth int, keys []string) Dict {
	d := Dict{}
	for _, k := range keys {
		if g.byte()%8 != 7 {
			d[k] = g.value(depth)
		}
	}
	return d
}

// message changes a good message in some places, or makes up one of the kind.
func (g *generator) message(kind Kind, full Dict) Dict {
	keys := slices.Sorted(maps.Keys(full))
	if g.byte()%4 == 0 {
		d := g.dict(1, keys)
		d["k"] = string(kind)
		return d
	}
	for range g.byte() % 4 {
		k := keys[int(g.byte())%len(keys)]
		switch full[k].(type) {
		case uint64:
			full[k] = g.uint64()
		case int64:
			full[k] = int64(g.uint64())
		case string:
			full[k] = g.string()
		case []any:
			full[k] = g.array(2)
		default:
			full[k] = g.value(1)
		}
	}
	return full
}

// No dictionary makes a parser panic. One that parses is within the limits of
// every transport, and its Dict parses to the same. One that does not is left
// as it was.
func FuzzParse(f *testing.F) {
	kinds := slices.Sorted(maps.Keys(samples()))
	for i := range kinds {
		f.Add(byte(i), []byte{})
		f.Add(byte(i), []byte{1, 1, 3, 200, 8, 1, 2, 3, 4, 5, 6, 7, 8})
		f.Add(byte(i), []byte{1, 1, 4, 5, 1, 0, 0, 0, 0}) // of terms: a life beyond its limit
		f.Add(byte(i), []byte{1, 1, 4, 4, 255, 255, 255, 255})
		f.Add(byte(i), []byte{0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2})
		f.Add(byte(i), []byte("\x01\x03surfaces and other words that matter"))
	}
	f.Fuzz(func(t *testing.T, i byte, b []byte) {
		kind := kinds[int(i)%len(kinds)]
		s := samples()[kind]
		g := generator{b}
		d := g.message(kind, s.full.Dict())
		before := maps.Clone(d)
		Check(d)
		m, err := s.parse(d)
		if err != nil {
			if r, isRefusal := err.(Refusal); !isRefusal && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%T: %v", r, err)
			}
			if !reflect.DeepEqual(before, d) {
				t.Fatalf("refused, but changed: %v, was %v", d, before)
			}
			return
		}
		again := m.Dict()
		if err := Check(again); err != nil {
			t.Fatal(err)
		}
		for _, v := range again {
			if text, ok := v.(string); ok && (!utf8.ValidString(text) || len(text) > MaxString) {
				t.Fatalf("text %q", text)
			}
		}
		m2, err := s.parse(again)
		if err != nil || !reflect.DeepEqual(m, m2) {
			t.Fatalf("%+v became %+v, %v", m, m2, err)
		}
	})
}
