package tufrepo

import (
	"encoding/json"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Expiry is only as good as the clock, and a clock whose battery died says
// 1970: everything a thief kept is fresh again. So our publisher signs the time
// of each timestamp.json into it, as "issued", and the newest accepted one is a
// floor under the clock. It raises nothing but itself, so three rules keep a
// wrong claim from condemning a machine:
//
//   - A claim later than the end of anything it came with contradicts itself
//     and is not taken. With one stolen online key the floor can thus go no
//     further than the offline keys' own dates, and the next ordinary release,
//     whose dates lie beyond, is taken again. A publisher whose clock once was
//     decades ahead condemns nobody.
//   - A claim more than a day ahead of this machine's clock is not taken now;
//     it is looked at again with every refresh. Unless the clock is known to
//     be wrong: it shows a time before this program was built, or more than a
//     day before the floor. Such a clock is no witness.
//   - Once root replaced the timestamp's or the snapshot's keys the floor
//     falls, like the versions they had signed (fast-forward recovery).
//
// The machine's own clock never enters the floor. One that jumps ahead makes
// metadata look expired for as long as it is wrong, and not longer.
const issuedField = "issued"

// How far a claim may be ahead of a clock that is not known to be wrong.
const ahead = 24 * time.Hour

// A floor is what is remembered beside the metadata itself.
type floor struct {
	Root    int64     `json:"root"`              // the newest root's version
	Targets int64     `json:"targets,omitempty"` // the least version of targets that is taken; 0: not known
	Issued  time.Time `json:"issued,omitzero"`   // the newest signed time accepted
	Walked  time.Time `json:"walked,omitzero"`   // this machine's time of the last full walk
	Stale   time.Time `json:"stale,omitzero"`    // since when the repository served only older metadata
}

// anyVersion of targets may be taken: their own keys, or those of who lists
// them, are new.
const anyVersion = 1

// leastTargets answers the version behind which targets do not go. Where the
// floor was lost it is that of the targets themselves.
func (t *Trust) leastTargets() int64 {
	if t.floor.Targets == 0 && t.targets.md != nil {
		return t.targets.md.Signed.Version
	}
	return t.floor.Targets
}

func parseFloor(data []byte) (f floor, err error) {
	err = json.Unmarshal(data, &f)
	return f, err
}

// later answers the later of two times.
func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// refTime is the time that expiry is judged by.
func (t *Trust) refTime(now time.Time) time.Time {
	return later(now, later(t.built, t.floor.Issued))
}

// claim is the time that a timestamp says it was signed at; zero if it is none
// of our publisher's.
func claim(m *metadata.Metadata[metadata.TimestampType]) time.Time {
	text, _ := m.Signed.UnrecognizedFields[issuedField].(string)
	issued, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return issued
}

// raise takes the trusted timestamp's claim into the floor, if it may.
func (t *Trust) raise(now time.Time) {
	if !t.whole() {
		return
	}
	issued, credible := claim(t.timestamp.md), !now.Add(ahead).Before(later(t.built, t.floor.Issued))
	if !issued.After(t.floor.Issued) || credible && issued.After(now.Add(ahead)) {
		return
	}
	for _, e := range t.expiries() {
		if issued.After(e.Expires) {
			return
		}
	}
	t.floor.Issued = issued
	t.putFloor()
}

// putFloor has the floor written. What cannot be written as JSON, a clock
// beyond the year 9999, is not remembered.
func (t *Trust) putFloor() {
	t.floor.Root = t.root().md.Signed.Version
	if data, err := json.Marshal(t.floor); err == nil {
		t.store.put("floor.json", append(data, '\n'))
	}
}
