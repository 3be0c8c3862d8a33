package request

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const someID = "20260102T030405.000000006Z-abcdefgh"

// Rule: only the bytes that Submit writes are a request; what merely means the
// same is none, and neither is anything that could not be shown on one line.
func TestParseRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"nothing":            "",
		"no object":          "null\n",
		"an array":           "[]\n",
		"no op":              "{}\n",
		"an empty op":        `{"op":""}` + "\n",
		"an op of two words": `{"op":"roll back"}` + "\n",
		"an op in capitals":  `{"op":"Update"}` + "\n",
		"an op with a path":  `{"op":"../x"}` + "\n",
		"a long op":          `{"op":"` + strings.Repeat("a", maxOp+1) + `"}` + "\n",
		"a number":           `{"op":1}` + "\n",
		"a key too many":     `{"op":"check","who":"me"}` + "\n",
		"an id":              `{"ID":"x","op":"check"}` + "\n",
		"a key twice":        `{"op":"check","op":"update"}` + "\n",
		"a key misspelt":     `{"OP":"check"}` + "\n",
		"another order":      `{"arg":"1","op":"check"}` + "\n",
		"an empty arg":       `{"op":"check","arg":""}` + "\n",
		"two lines":          `{"op":"unblock","arg":"a\nb"}` + "\n",
		"a terminal's codes": `{"op":"unblock","arg":"\u001b[2J"}` + "\n",
		"no UTF-8":           "{\"op\":\"unblock\",\"arg\":\"\xff\"}\n",
		"a long arg":         `{"op":"unblock","arg":"` + strings.Repeat("a", maxArg+1) + `"}` + "\n",
		"spaces":             `{"op": "check"}` + "\n",
		"a torn end":         `{"op":"che`,
		"no end":             `{"op":"check"}`,
		"two requests":       `{"op":"check"}` + "\n" + `{"op":"check"}` + "\n",
		"too much":           strings.Repeat(" ", MaxSize+1),
	} {
		if r, err := Parse(someID, []byte(data)); !errors.Is(err, ErrMalformed) || r != (Request{}) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// Rule: an ID is a time and what follows it, and nothing that a path could be
// made of.
func TestIDs(t *testing.T) {
	for _, id := range []string{"", "x", "../x", ".bad", someID + "/x", someID + "-", someID[:len(someID)-1], strings.ToUpper(someID),
		"20261332T030405.000000006Z-abcdefgh", "20260102T030405Z-abcdefgh", "20260102T030405,000000006Z-abcdefgh", "20260102T030405.000000006Z-abcdefg."} {
		if isID(id) {
			t.Errorf("%q is taken for an ID", id)
		}
		if _, err := Parse(id, []byte(`{"op":"check"}`+"\n")); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if !isID(someID) {
		t.Errorf("%q is not taken for an ID", someID)
	}
}

// Rule: IDs sort as their times do, whatever the zone, and two of one time
// differ.
func TestIDsSortByTime(t *testing.T) {
	zone := time.FixedZone("east", 5*3600)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	times := []time.Time{at, at.Add(1).In(zone), at.Add(time.Millisecond), at.Add(time.Second).In(zone), at.AddDate(0, 9, 0)}
	var ids []string
	for _, at := range times {
		id := newID(at)
		if !isID(id) {
			t.Errorf("%q is not an ID", id)
		}
		ids = append(ids, id)
	}
	if !slices.IsSorted(ids) {
		t.Errorf("not sorted: %q", ids)
	}
	if one, other := newID(at), newID(at); one == other {
		t.Errorf("%s came twice", one)
	}
}

// Rule: what is written is what is read.
func TestParse(t *testing.T) {
	for _, want := range []Request{
		{someID, "check", ""},
		{someID, "unblock", "1.2.3-beta"},
		{someID, "unblock", strings.Repeat("é", maxArg/2)},
		{someID, strings.Repeat("z", maxOp), `a <b> & "c" \ d`},
	} {
		data, err := want.encode()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(someID, data); err != nil || got != want {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
	}
}

// Rule: no bytes make the parser do anything but answer, and what it takes is
// exactly what would be written.
func FuzzParse(f *testing.F) {
	f.Add(someID, []byte(`{"op":"update"}`+"\n"))
	f.Add(someID, []byte(`{"op":"unblock","arg":"1.2.3"}`+"\n"))
	f.Add(someID, []byte(`{"op":"unblock","arg":"\u003c"}`+"\n"))
	f.Add("../x", []byte(`{"op":1`))
	f.Fuzz(func(t *testing.T, id string, data []byte) {
		r, err := Parse(id, data)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		again, err := r.encode()
		if err != nil || string(again) != string(data) || r.ID != id || strings.ContainsAny(r.ID, "/\x00") || strings.ContainsAny(r.Op+r.Arg, "\n\x1b\x00") {
			t.Fatalf("%q became %+v", data, r)
		}
	})
}
