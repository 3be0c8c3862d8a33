package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"portward/internal/bundle"
	"portward/internal/status"
)

var states = []State{Idle, Verified, Staged, Exchanged, OnTrial, Committed, Reverted}

// Rule: what lies there decides; the record says only what was meant. The
// table is for A replaced by B; each word is what lies live, previous, staging;
// x is damaged or nothing.
func TestDecide(t *testing.T) {
	lie := []string{"A-B", "AB-", "A--", "BA-", "B-A", "B--", "xA-", "x-A", "xB-", "x-B", "x--", "C-A"}
	want := map[State]string{
		//         A-B    AB-    A--    BA-    B-A    B--    xA-    x-A    xB-    x-B    x--    C-A
		Idle:      "rest   rest   rest   rest   rest   rest   mend   mend   mend   beyond beyond rest",
		Verified:  "forget forget forget try    try    try    mend   mend   mend   beyond beyond forget",
		Staged:    "forget forget forget try    try    try    mend   mend   mend   beyond beyond forget",
		Exchanged: "forget forget forget try    try    try    mend   mend   mend   beyond beyond forget",
		OnTrial:   "undone undone undone try    try    try    mend   mend   mend   beyond beyond forget",
		Committed: "rest   rest   rest   rest   rest   rest   mend   mend   mend   beyond beyond rest",
		Reverted:  "rest   rest   rest   undo   undo   keep   mend   mend   mend   beyond beyond rest",
	}
	for _, state := range states {
		row := split(want[state])
		for i, l := range lie {
			p := func(i int) place {
				if l[i] == '-' || l[i] == 'x' {
					return place{}
				}
				return place{hash: l[i : i+1]}
			}
			s := sight{live: p(0), previous: p(1), staging: p(2)}
			r := record{State: state, From: "A", To: "B"}
			if got, _ := decide(r, s, 3); got.String() != row[i] {
				t.Errorf("%v, %s: %v, want %s", state, l, got, row[i])
			}
			r.Attempts = 3
			got, _ := decide(r, s, 3)
			if _, back := s.holding("A"); row[i] == "try" && back && got != undo {
				t.Errorf("%v, %s: %v after too many starts, want undo", state, l, got)
			}
			r.Denied = []status.Denied{{Hash: "B"}}
			if got, with := decide(r, s, 3); got == mend && with.hash == "B" {
				t.Errorf("%v, %s: mended with a denied bundle", state, l)
			}
		}
	}
}

func split(s string) (words []string) {
	var w string
	for n, left := 0, s; left != ""; left = left[n:] {
		if k, err := fmt.Sscan(left, &w); k != 1 || err != nil {
			break
		}
		words = append(words, w)
		n = len(w)
		for n < len(left) && left[n] == ' ' {
			n++
		}
	}
	return words
}

// Rule: from whatever a crash left there, starts converge to one whole bundle
// at the live path, if a whole one is there at all, and to a calm state.
func TestConverges(t *testing.T) {
	base := newScene(t, "1.0.0")
	base.offer("2.0.0")
	c := convergence{
		cfg:  base.cfg,
		from: map[string]string{"A": base.cfg.Live, "B": base.from},
		hash: map[string]string{"A": base.hashOf(base.cfg.Live), "B": base.offered.Hash()},
	}
	for _, state := range states {
		t.Run(state.String(), func(t *testing.T) {
			t.Parallel()
			n := 0
			for _, live := range []string{"A", "B", "x"} {
				for _, previous := range []string{"A", "B", "x"} {
					for _, staging := range []string{"A", "B", "x"} {
						n++
						c.run(t, state, live, previous, staging, n%2 == 0)
					}
				}
			}
		})
	}
}

type convergence struct {
	cfg        Config
	from, hash map[string]string
}

// run tries one case; x is damaged, or gone.
func (c convergence) run(t *testing.T, state State, live, previous, staging string, gone bool) {
	t.Helper()
	name := fmt.Sprintf("%v, live %s, previous %s, staging %s, gone %v", state, live, previous, staging, gone)
	s := &scene{t: t, cfg: c.cfg}
	root := t.TempDir()
	s.cfg.Live, s.cfg.Dir = filepath.Join(root, bundle.Name), filepath.Join(root, "update")
	s.cfg.RetainedSeal = filepath.Join(root, "retained", "seal.json")
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, what := range map[string]string{s.cfg.Live: live, s.cfg.previous(): previous, s.cfg.staging(): staging} {
		lay(t, path, c.from[what], what == "x" && !gone)
	}
	if _, err := s.cfg.journal().write(record{State: state, From: c.hash["A"], To: c.hash["B"]}); err != nil {
		t.Fatal(err)
	}
	u := s.settle()
	there := s.hashOf(s.cfg.Live)
	if whole := live != "x" || previous != "x" || staging == "A"; whole && there == "" {
		t.Errorf("%s: nothing whole lives", name)
	}
	if state := u.rec.State; u.onTrial || state == OnTrial || state == Exchanged {
		t.Errorf("%s: ended in %v", name, state)
	}
	if there != "" && u.retainedIsGood() != (s.hashOf(s.cfg.previous()) != "") {
		t.Errorf("%s: retained %v", name, u.retainedIsGood())
	}
	if again := s.settle(); s.hashOf(s.cfg.Live) != there || again.rec.Gen != u.rec.Gen {
		t.Errorf("%s: another start changes it again", name)
	}
}

// lay puts a copy of the bundle at from to path; damaged, or nothing of it.
func lay(t *testing.T, path, from string, damaged bool) {
	t.Helper()
	var err error
	if damaged {
		err = os.MkdirAll(filepath.Join(path, "Contents"), 0o755)
	} else if from != "" {
		err = os.CopyFS(path, os.DirFS(from))
	}
	if err == nil && from != "" {
		err = filepath.WalkDir(path, func(p string, _ os.DirEntry, _ error) error {
			info, err := os.Stat(filepath.Join(from, p[len(path):]))
			if err != nil {
				return err
			}
			return os.Chmod(p, info.Mode())
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Rule: one lost slot loses one step at most, two lose no start.
func TestJournalLoses(t *testing.T) {
	j := journal(t.TempDir())
	r := record{}
	for _, s := range []State{Staged, Exchanged} {
		r.State = s
		var err error
		if r, err = j.write(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"", "x", "{}", "0000 {}\n"} {
		if err := os.WriteFile(j.slot(r.Gen), []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := j.read(); got.State != Staged {
			t.Errorf("%q: %v", bad, got.State)
		}
		if _, err := os.Stat(j.slot(r.Gen) + ".bad"); err != nil {
			t.Error(err)
		}
	}
	os.WriteFile(j.slot(0), []byte("x"), 0o600)
	os.WriteFile(j.slot(1), []byte("x"), 0o600)
	if got := j.read(); got.Gen != 0 || got.State != Idle {
		t.Errorf("%+v", got)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("0000 {}\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := parseRecord(data); err == nil {
			decide(r, sight{}, 3)
		}
	})
}

// Rule: the deny list is bounded, and forgets the oldest.
func TestDenyList(t *testing.T) {
	var r record
	for i := range maxDenied + 5 {
		r.To = fmt.Sprint(i)
		r.deny("x")
		r.deny("x")
	}
	if len(r.Denied) != maxDenied || r.Denied[0].Hash != "5" {
		t.Errorf("%d, first %s", len(r.Denied), r.Denied[0].Hash)
	}
}

// Rule: the rescue job undoes a trial without a sign of life in three looks,
// and no other.
func TestRescue(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	u := s.mustOpen()
	look := func() bool {
		t.Helper()
		reverted, err := Rescue(s.cfg)
		if err != nil {
			t.Fatal(err)
		}
		return reverted
	}
	for range 10 {
		if look() {
			t.Fatal("a supervisor that gives signs of life was undone")
		}
		if err := u.change(func(r *record) { r.Stamp++ }); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if look() {
			t.Fatalf("undone at look %d", i+1)
		}
	}
	s.cfg.Boot = "boot 2"
	for i := range 3 {
		if look() {
			t.Fatalf("undone at look %d after the reboot", i+1)
		}
	}
	if !look() {
		t.Fatal("never undone")
	}
	s.lives("1.0.0")
	if err := u.change(func(*record) {}); !errors.Is(err, ErrHandOver) {
		t.Errorf("the supervisor that was undone goes on: %v", err)
	}
	if look() {
		t.Error("undone twice")
	}
	s.settle()
	s.lives("1.0.0")
	if len(s.pay.Denied) != 1 || s.stops != 1 {
		t.Errorf("%d stops, denied %+v", s.stops, s.pay.Denied)
	}
}

// Rule: the rescue job finishes a revert that was cut off.
func TestRescueFinishes(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	u := s.mustOpen()
	if err := u.change(func(r *record) { r.deny("crash"); r.settle(Reverted, "crash") }); err != nil {
		t.Fatal(err)
	}
	if reverted, err := Rescue(s.cfg); !reverted || err != nil {
		t.Errorf("%v, %v", reverted, err)
	}
	s.lives("1.0.0")
}
