package fetch

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func hashN(c string) string { return strings.Repeat(c, 64) }

func goodDelivery() Delivery {
	return Delivery{Format: Format, Files: []Item{
		{SHA256: hashN("1"), Size: 10, Blob: Blob{SHA256: hashN("1"), Size: 10, Codec: None}},
		{SHA256: hashN("2"), Size: 20 << 20, Blob: Blob{SHA256: hashN("a"), Size: 9<<20 + 1, Codec: Zstd, Pieces: make10()},
			Deltas: []Delta{{From: hashN("3"), Algorithm: "zstd-dict", SHA256: hashN("4"), Size: 7}}},
	}}
}

func make10() []string {
	var list []string
	for range 10 {
		list = append(list, hashN("5"))
	}
	return list
}

// Rule: what is not exactly a delivery is refused.
func TestBadDeliveries(t *testing.T) {
	for name, spoil := range map[string]func(*Delivery){
		"format":            func(d *Delivery) { d.Format = 2 },
		"no format":         func(d *Delivery) { d.Format = 0 },
		"order":             func(d *Delivery) { d.Files[0], d.Files[1] = d.Files[1], d.Files[0] },
		"twice":             func(d *Delivery) { d.Files[1] = d.Files[0] },
		"short hash":        func(d *Delivery) { d.Files[0].SHA256 = "11" },
		"capital hash":      func(d *Delivery) { d.Files[1].Blob.SHA256 = hashN("A") },
		"path as a hash":    func(d *Delivery) { d.Files[1].Blob.SHA256 = "../../../" + hashN("a")[9:] },
		"negative":          func(d *Delivery) { d.Files[1].Blob.Size = -1 },
		"huge":              func(d *Delivery) { d.Files[1].Size = maxSize + 1 },
		"codec":             func(d *Delivery) { d.Files[1].Blob.Codec = "gzip" },
		"no codec":          func(d *Delivery) { d.Files[1].Blob.Codec = "" },
		"none, other hash":  func(d *Delivery) { d.Files[0].Blob.SHA256 = hashN("9") },
		"none, other size":  func(d *Delivery) { d.Files[0].Blob.Size = 9 },
		"a piece less":      func(d *Delivery) { d.Files[1].Blob.Pieces = d.Files[1].Blob.Pieces[1:] },
		"a piece more":      func(d *Delivery) { d.Files[0].Blob.Pieces = []string{hashN("1")} },
		"bad piece":         func(d *Delivery) { d.Files[1].Blob.Pieces[3] = "x" },
		"delta from":        func(d *Delivery) { d.Files[1].Deltas[0].From = "" },
		"delta hash":        func(d *Delivery) { d.Files[1].Deltas[0].SHA256 = "" },
		"delta size":        func(d *Delivery) { d.Files[1].Deltas[0].Size = -7 },
		"delta algorithm":   func(d *Delivery) { d.Files[1].Deltas[0].Algorithm = "Zstd Dict" },
		"no algorithm":      func(d *Delivery) { d.Files[1].Deltas[0].Algorithm = "" },
		"long algorithm":    func(d *Delivery) { d.Files[1].Deltas[0].Algorithm = strings.Repeat("a", 33) },
		"too many deltas":   func(d *Delivery) { d.Files[1].Deltas = make([]Delta, maxDeltas+1) },
		"too many contents": func(d *Delivery) { d.Files = make([]Item, maxFiles+1) },
	} {
		d := goodDelivery()
		spoil(&d)
		if _, err := ParseDelivery(encode(t, d)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	good := string(encode(t, goodDelivery()))
	for name, text := range map[string]string{
		"empty":         "",
		"null":          "null",
		"torn":          good[:len(good)/2],
		"followed":      good + "{}",
		"unknown field": strings.Replace(good, `"format":1`, `"format":1,"also":2`, 1),
		"float":         strings.Replace(good, `"size":10`, `"size":10.5`, 1),
		"too long":      good + strings.Repeat(" ", maxDelivery),
		"web page":      "<html>",
	} {
		if _, err := ParseDelivery([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Rule: what was written is read.
func TestDelivery(t *testing.T) {
	d, err := ParseDelivery(encode(t, goodDelivery()))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(d, goodDelivery()) {
		t.Errorf("%+v", d)
	}
}

// Rule: only a blob above the bound is cut into pieces, and its last may be short.
func TestPieces(t *testing.T) {
	data := noise(PiecedAbove+1, 1)
	if p := Pieces(data[:PiecedAbove]); p != nil {
		t.Errorf("%d pieces at the bound", len(p))
	}
	p := Pieces(data)
	if len(p) != 9 || p[0] != hashOf(data[:PieceSize]) || p[8] != hashOf(data[PiecedAbove:]) {
		t.Errorf("%d pieces", len(p))
	}
}

func encode(t testing.TB, d Delivery) []byte {
	t.Helper()
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Rule: no bytes make the parser fail, and what it takes survives being written
// again.
func FuzzParseDelivery(f *testing.F) {
	good := encode(f, goodDelivery())
	f.Add(good)
	f.Add(good[:50])
	f.Add([]byte(`{"format":1,"files":[]}`))
	f.Add([]byte(`{"format":1,"files":[{"sha256":"` + hashN("0") + `","size":0,"blob":{"sha256":"` + hashN("0") + `","size":0,"codec":"none"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDelivery(data)
		if err != nil {
			return
		}
		again, err := ParseDelivery(encode(t, d))
		if err != nil || !bytes.Equal(encode(t, d), encode(t, again)) {
			t.Fatalf("%v, %+v", err, again)
		}
	})
}
