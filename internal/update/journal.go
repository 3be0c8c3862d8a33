package update

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"time"

	"portward/internal/durable"
	"portward/internal/status"
	"portward/internal/update/pipe"
)

// A State is how far the latest release came.
type State string

// The states. Two of them are intents: they are on the disk before the
// exchange that they announce, so what lies there says whether it happened.
const (
	Idle      State = ""          // nothing is going on
	Verified  State = "verified"  // the rules took the release
	Staged    State = "staged"    // it lies beside the live bundle, whole
	Exchanged State = "exchanged" // intent: it takes the live bundle's place
	OnTrial   State = "on trial"  // it has that place and has to prove itself
	Committed State = "committed" // it did
	Reverted  State = "reverted"  // intent: the earlier bundle gets its place back
)

// inFlight: To may have taken the live bundle's place, and has not proved itself.
func (s State) inFlight() bool {
	return s == Verified || s == Staged || s == Exchanged || s == OnTrial
}

// staging: what lies beside the live bundle is To, as far as it came.
func (r record) staging() bool {
	return (r.State == Idle || r.State == Verified || r.State == Staged) && r.denial(r.To) == ""
}

// A coldness is how far the cold start came that belongs to a trial, or the
// full stop that follows a revert.
type coldness string

const (
	warm  coldness = ""
	asked coldness = "asked" // all was stopped, this start is the cold one
	done  coldness = "done"
)

// A record is the journal's content. An older program's rescue job reads it
// too: fields are added, and never change their meaning.
type record struct {
	Gen         uint64          `json:"gen"`
	State       State           `json:"state"`
	From        string          `json:"from,omitempty"` // hashes of seals: what is replaced, empty where that is damaged
	To          string          `json:"to,omitempty"`   // and by what
	FromVersion string          `json:"from_version,omitempty"`
	ToVersion   string          `json:"to_version,omitempty"`
	Attempts    int             `json:"attempts,omitempty"` // starts of the supervisor of To since the last planned one, but for those that an orderly stop, a reboot or the machine's fault ended
	Faults      int             `json:"faults,omitempty"`   // starts that the machine's fault ended, during this trial
	Cold        coldness        `json:"cold,omitempty"`
	Stamp       uint64          `json:"stamp,omitempty"`     // goes on while the supervisor of To does; never goes back
	Boot        string          `json:"boot,omitempty"`      // in which To was started last, or put in place
	Reason      string          `json:"reason,omitempty"`    // of the state, for people
	Installed   string          `json:"installed,omitempty"` // what lay at the live path, whole and vouched for
	Since       time.Time       `json:"since,omitzero"`      // when sessions began to hold back releases
	Asked       string          `json:"asked,omitempty"`     // the request that made another bundle live
	Unserved    []string        `json:"unserved,omitempty"`  // requests that the last process ended too early for
	Denied      []status.Denied `json:"denied,omitempty"`
}

// settle forgets how the release on its way is doing, and who asked for it.
func (r *record) settle(s State, why string) {
	r.State, r.Reason, r.Attempts, r.Faults, r.Cold, r.Asked = s, pipe.Clip(why), 0, 0, warm, ""
}

// begin writes down what is to replace what, and who asked for it.
func (r *record) begin(s State, why string, from, to place, asked string) {
	r.settle(s, why)
	r.From, r.FromVersion, r.To, r.ToVersion = from.hash, from.version(), to.hash, to.version()
	r.Asked = asked
}

// A blame says whose fault it is that a release is undone.
type blame int

const (
	nobodys  blame = iota // it may be tried again
	machines              // it may, after a while
	doubtful              // the machine's, perhaps: after a while, once
	its                   // it may not, unless a person says so
)

// Bounds of the deny list. An older program, which knows of no doubt, denies what
// is on it for good.
const (
	maxDenied = 64        // the oldest is forgotten first
	doubtFor  = time.Hour // the first time; each time for twice as long, up to the longest
	maxDoubt  = 24 * time.Hour
)

// deny remembers that To is not to be tried again, or not for a while.
func (r *record) deny(why string, b blame) {
	before, again := r.denied(r.To)
	if r.To == "" || b == nobodys || again && before.Until.IsZero() {
		return
	}
	d := status.Denied{
		Hash: r.To, Version: pipe.Clip(r.ToVersion), Why: pipe.Clip(why), Time: time.Now().UTC(), Strikes: before.Strikes,
	}
	if b == doubtful {
		d.Strikes++
	}
	if b == machines || b == doubtful && d.Strikes == 1 {
		d.Until = d.Time.Add(min(max(doubtFor, 2*before.Until.Sub(before.Time)), maxDoubt))
	}
	r.forgive(r.To)
	r.Denied = append(r.Denied, d)
	r.Denied = r.Denied[max(0, len(r.Denied)-maxDenied):]
}

// forgive forgets what is held against a release.
func (r *record) forgive(hash string) {
	r.Denied = slices.DeleteFunc(r.Denied, func(d status.Denied) bool { return d.Hash == hash })
}

// denied answers what is held against a release.
func (r record) denied(hash string) (d status.Denied, yes bool) {
	i := slices.IndexFunc(r.Denied, func(d status.Denied) bool { return d.Hash == hash })
	if i < 0 {
		return d, false
	}
	return r.Denied[i], true
}

// denial answers why the release with this hash is not to be tried now; empty: it
// may be. A clock that was set back ends a doubt.
func (r record) denial(hash string) string {
	d, yes := r.denied(hash)
	now := time.Now()
	switch {
	case !yes || !d.Until.IsZero() && (now.Before(d.Time) || !now.Before(d.Until)):
		return ""
	case d.Until.IsZero():
		return cmp.Or(d.Why, "it failed")
	}
	return fmt.Sprintf("until %s: %s", d.Until.UTC().Format(time.DateTime), d.Why)
}

// A journal is a directory with two slots. The record of generation n lies in
// slot n%2, so the one before outlives whatever happens to the newest. Each is
// one line: the SHA-256 of the JSON, a space, the JSON. Who changes it holds
// the lock from read to write.
type journal string

func (j journal) slot(n uint64) string {
	return filepath.Join(string(j), fmt.Sprintf("journal.%d", n%2))
}

func (j journal) lock() string { return filepath.Join(string(j), "lock") }

func (j journal) locked(do func() error) error {
	lock, err := durable.Lock(j.lock())
	if err != nil {
		return err
	}
	defer lock.Close()
	return do()
}

// errUnread is in the error for a journal that may say anything: the disk or the
// machine did not let it be read.
var errUnread = errors.New("the journal cannot be read now")

// read answers the newest valid record. A slot that holds none is set aside and
// is no reason not to start; one that cannot be read now is left alone, and is.
func (j journal) read() (newest record, err error) {
	for n := range uint64(2) {
		data, err := os.ReadFile(j.slot(n))
		if err != nil { // one bad reading proves nothing
			data, err = os.ReadFile(j.slot(n))
		}
		switch r, bad := parseRecord(data); {
		case errors.Is(err, fs.ErrNotExist):
		case passing(err):
			return record{}, fmt.Errorf("%w: %w", errUnread, err)
		case err != nil || bad != nil: // the slot before has the record before
			durable.Rename(j.slot(n), j.slot(n)+".bad")
		case r.Gen > newest.Gen:
			newest = r
		}
	}
	return newest, nil
}

func parseRecord(data []byte) (r record, err error) {
	sum, body, _ := bytes.Cut(bytes.TrimSuffix(data, []byte("\n")), []byte(" "))
	if want := sha256.Sum256(body); hex.EncodeToString(want[:]) != string(sum) {
		return r, errors.New("the journal's checksum is wrong")
	}
	err = json.Unmarshal(body, &r)
	return r, err
}

// write makes r the newest record and answers it with its generation.
func (j journal) write(r record) (record, error) {
	r.Gen++
	body, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	line := fmt.Appendf(nil, "%x %s\n", sha256.Sum256(body), body)
	return r, durable.Write(j.slot(r.Gen), line, 0o600)
}

// change edits the record. Somebody else's writing since it was read means that
// the rescue job undid the trial: ErrHandOver.
func (u *Updater) change(edit func(*record)) error {
	return u.cfg.journal().locked(func() error { return u.changeLocked(edit) })
}

func (u *Updater) changeLocked(edit func(*record)) error {
	is, err := u.cfg.journal().read()
	if err != nil {
		return err
	}
	if is.Gen != u.rec.Gen {
		return ErrHandOver
	}
	r := is
	r.Denied = slices.Clone(is.Denied)
	if edit(&r); reflect.DeepEqual(r, is) {
		return nil
	}
	r, err = u.cfg.journal().write(r)
	if err == nil {
		u.rec = r
	}
	return err
}
