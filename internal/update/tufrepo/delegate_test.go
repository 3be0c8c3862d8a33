package tufrepo

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// delegations publishes roles by name, each delegated by another and for "*",
// and lists all but the unlisted in the snapshot.
func (w *world) delegations(key ed25519.PrivateKey, terminating string, edges [][2]string, holds map[string]string, unlisted string) {
	w.t.Helper()
	tufKey, err := metadata.KeyFromPublicKey(publicOf(key))
	w.must(err)
	id, err := tufKey.ID()
	w.must(err)
	roles := map[string]*metadata.Metadata[metadata.TargetsType]{metadata.TARGETS: w.m.targets}
	for _, e := range edges {
		if roles[e[1]] == nil {
			roles[e[1]] = metadata.Targets(until(day0, targetsLife))
		}
		by := &roles[e[0]].Signed
		if by.Delegations == nil {
			by.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{id: tufKey}}
		}
		by.Delegations.Roles = append(by.Delegations.Roles, metadata.DelegatedRole{
			Name: e[1], KeyIDs: []string{id}, Threshold: 1, Paths: []string{"*"}, Terminating: e[1] == terminating})
	}
	for name, role := range roles {
		if name == metadata.TARGETS {
			continue
		}
		if target := holds[name]; target != "" {
			f, err := describe(target, NewTarget{Data: []byte(name)})
			w.must(err)
			role.Signed.Targets[target] = f
		}
		raw, err := sign(role, []ed25519.PrivateKey{key})
		w.must(err)
		w.files["metadata/1."+name+".json"] = raw
		if name != unlisted {
			w.m.snapshot.Signed.Meta[name+".json"] = listing(1, raw)
		}
	}
	w.must(w.m.publish(nil, nil, day0))
}

// Rule: delegations are searched depth first and in order, each role once, and
// none behind one that ends the search.
func TestFind(t *testing.T) {
	for _, c := range []struct {
		name, terminating string
		edges             [][2]string
		holds             map[string]string
		want              string
	}{
		{"in order", "", [][2]string{{"targets", "a"}, {"targets", "b"}, {"a", "c"}}, nil, "a c b: none"},
		{"the first wins", "", [][2]string{{"targets", "a"}, {"targets", "b"}, {"a", "c"}}, map[string]string{"c": "x", "b": "x"}, "a c: c"},
		{"in a circle", "", [][2]string{{"targets", "a"}, {"a", "b"}, {"b", "a"}}, nil, "a b: none"},
		{"an end", "a", [][2]string{{"targets", "a"}, {"targets", "b"}, {"a", "c"}}, map[string]string{"b": "x"}, "a c: none"},
	} {
		w := newWorld(t)
		w.delegations(newKeys(t, 1)[0], c.terminating, c.edges, c.holds, "")
		trust := w.trusting(day0)
		var kept []string
		got := "none"
		f, err := trust.Find(day0, "x", w.get, func(role string, _ []byte) { kept = append(kept, role) })
		if err == nil {
			i := slices.IndexFunc(kept, func(role string) bool { return f.Check([]byte(role)) == nil })
			got = kept[i]
		}
		if got = strings.Join(kept, " ") + ": " + got; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Rule: a delegated role counts when its delegator's keys signed it and the
// snapshot lists these very bytes.
func TestFindRefuses(t *testing.T) {
	key := newKeys(t, 1)[0]
	edges, holds := [][2]string{{"targets", "a"}}, map[string]string{"a": "x"}
	kept := func(string, []byte) { t.Error("it was taken") }

	w := newWorld(t)
	w.delegations(key, "", edges, holds, "a")
	if _, err := w.trusting(day0).Find(day0, "x", w.get, kept); err == nil {
		t.Error("a role that no snapshot lists was taken")
	}
	w = newWorld(t)
	w.delegations(key, "", edges, holds, "")
	trust := w.trusting(day0)
	if _, err := trust.Find(day0.Add(8*day), "x", w.get, kept); err == nil {
		t.Error("something was found in expired metadata")
	}
	forge(w, "metadata/1.a.json", newKeys(t, 1), func(*metadata.TargetsType) {})
	_, err := trust.Find(day0, "x", w.get, kept)
	if e := new(Error); !errors.As(err, &e) || e.Kind != Untrusted {
		t.Error(err)
	}
	if _, err := w.open(t.TempDir()).Find(day0, "x", w.get, kept); err == nil {
		t.Error("something was found before a refresh")
	}
	bad := json.RawMessage(fmt.Sprintf(`{"signed":{"_type":"targets","version":1,"delegations":{"keys":{"k":{"keytype":"ed25519","keyval":{"public":"%s"}}}}}}`, "00"))
	if _, err := parse[metadata.TargetsType](bad); err == nil {
		t.Error("a key of one byte was taken")
	}
}
