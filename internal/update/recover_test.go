package update

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portward/internal/bundle"
	"portward/internal/status"
)

var states = []State{Idle, Verified, Staged, Exchanged, OnTrial, Committed, Reverted}

// Rule: what lies there decides; the record says only what was meant. The
// table is for A replaced by B; each word is what lies live and beside; x is
// damaged or nothing.
func TestDecide(t *testing.T) {
	lie := []string{"AB", "Ax", "BA", "Bx", "xA", "xB", "xC", "xx", "CA"}
	want := map[State]string{
		//         AB     Ax     BA   Bx   xA   xB   xC   xx   CA
		Idle:      "rest   rest   rest rest mend rest mend rest rest",
		Verified:  "rest   rest   try  try  mend rest mend rest rest",
		Staged:    "rest   rest   try  try  mend rest mend rest rest",
		Exchanged: "rest   rest   try  try  mend rest mend rest rest",
		OnTrial:   "undone undone try  try  mend rest mend rest rest",
		Committed: "rest   rest   rest rest mend rest mend rest rest",
		Reverted:  "rest   rest   undo keep mend rest mend rest rest",
	}
	for _, state := range states {
		row := strings.Fields(want[state])
		for i, l := range lie {
			p := func(i int) place { return place{hash: strings.Trim(l[i:i+1], "x")} }
			s := sight{live: p(0), beside: p(1)}
			r := record{State: state, From: "A", To: "B"}
			if got := decide(r, s, 3); string(got) != row[i] {
				t.Errorf("%v, %s: %v, want %s", state, l, got, row[i])
			}
			r.Attempts = 3
			if got := decide(r, s, 3); row[i] == "try" && s.holds("A") && got != undo {
				t.Errorf("%v, %s: %v after too many starts, want undo", state, l, got)
			}
			r.Attempts, r.Faults = 0, maxFaults
			if got := decide(r, s, 3); row[i] == "try" && s.holds("A") && got != undo {
				t.Errorf("%v, %s: %v after too many faults of the machine, want undo", state, l, got)
			}
			r.Denied = []status.Denied{{Hash: "B"}, {Hash: "C"}}
			if got := decide(r, s, 3); got == mend && !s.holds("A") {
				t.Errorf("%v, %s: mended with a denied bundle", state, l)
			}
		}
	}
}

// Rule: a lost journal is no reason to leave a damaged bundle where it is.
func TestDecideWithoutJournal(t *testing.T) {
	if got := decide(record{}, sight{beside: place{hash: "A"}}, 3); got != mend {
		t.Errorf("%v, want mend", got)
	}
	if got := decide(record{}, sight{}, 3); got != rest {
		t.Errorf("%v, want rest", got)
	}
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
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			for _, live := range []string{"A", "B", "x"} {
				for _, beside := range []string{"A", "B", "x"} {
					for _, gone := range []bool{false, true} {
						c.run(t, state, live, beside, gone)
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
func (c convergence) run(t *testing.T, state State, live, beside string, gone bool) {
	t.Helper()
	name := fmt.Sprintf("%v, live %s, beside %s, gone %v", state, live, beside, gone)
	s := &scene{t: t, cfg: c.cfg}
	root := t.TempDir()
	s.cfg.Live, s.cfg.Dir = filepath.Join(root, bundle.Name), filepath.Join(root, "update")
	s.cfg.RetainedSeal = filepath.Join(root, "retained", "seal.json")
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, what := range map[string]string{s.cfg.Live: live, s.cfg.beside(): beside} {
		lay(t, path, c.from[what], what == "x" && !gone)
	}
	if _, err := s.cfg.journal().write(record{State: state, From: c.hash["A"], To: c.hash["B"]}); err != nil {
		t.Fatal(err)
	}
	u := s.settle()
	there := s.hashOf(s.cfg.Live)
	if whole := live != "x" || beside == "A"; whole && there == "" {
		t.Errorf("%s: nothing whole lives", name)
	}
	if state := u.rec.State; u.onTrial || state == OnTrial || state == Exchanged {
		t.Errorf("%s: ended in %v", name, state)
	}
	if h := s.hashOf(s.cfg.beside()); h != "" && h != there && !u.retained() && (h != u.rec.To || u.rec.denial(h) != "") {
		t.Errorf("%s: what lies beside is of no use", name)
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
		if got, err := j.read(); err != nil || got.State != Staged {
			t.Errorf("%q: %v, %v", bad, got.State, err)
		}
		if _, err := os.Stat(j.slot(r.Gen) + ".bad"); err != nil {
			t.Error(err)
		}
	}
	os.WriteFile(j.slot(0), []byte("x"), 0o600)
	os.WriteFile(j.slot(1), []byte("x"), 0o600)
	if got, err := j.read(); err != nil || got.Gen != 0 || got.State != Idle {
		t.Errorf("%+v, %v", got, err)
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
		r.deny("x", its)
		r.deny("x", its)
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
	for range 2 { // its supervisor was not started
		for range lastLook - 1 {
			if look() {
				t.Error("started again without a pause")
			}
		}
		if !look() {
			t.Error("the retained supervisor is not started again")
		}
	}
	s.settle()
	for range 3 {
		if look() {
			t.Error("undone twice")
		}
	}
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
	if err := u.change(func(r *record) { r.deny("crash", its); r.settle(Reverted, "crash") }); err != nil {
		t.Fatal(err)
	}
	if reverted, err := Rescue(s.cfg); !reverted || err != nil {
		t.Errorf("%v, %v", reverted, err)
	}
	s.lives("1.0.0")
}

// Rule: a journal that cannot be read now, for want of descriptors, is no lost
// one: nothing is set aside or decided.
func TestJournalUnread(t *testing.T) {
	s := newScene(t, "1.0.0")
	s.offer("2.0.0")
	s.take()
	j := s.cfg.journal()
	before, err := j.read()
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	_, err = j.read()
	if back := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, errUnread) {
		t.Errorf("read: %v", err)
	}
	if after, err := j.read(); err != nil || after.Gen != before.Gen {
		t.Errorf("record %d became %d, %v", before.Gen, after.Gen, err)
	}
}

// Rule: what cannot be read now, live or beside, is not removed and not
// replaced, and stops the start.
func TestUnreadableNow(t *testing.T) {
	for _, at := range []string{"live", "beside"} {
		for _, passing := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
			s := newScene(t, "1.0.0")
			s.offer("2.0.0")
			s.take()
			u := s.settle()
			if err := u.change(func(r *record) { // it is read whether somebody vouches for what is not known
				if r.From, r.To = "", ""; at == "live" {
					r.From, r.Installed = u.sight.beside.hash, ""
				}
			}); err != nil {
				t.Fatal(err)
			}
			s.vouchErr = fmt.Errorf("reading it: %w", passing)
			if _, err := s.open(); !errors.Is(err, passing) {
				t.Errorf("%s, %v: opened: %v", at, passing, err)
			}
			s.lives("2.0.0")
			if s.hashOf(s.cfg.beside()) == "" {
				t.Errorf("%s, %v: what lies beside was removed", at, passing)
			}
		}
	}
}
