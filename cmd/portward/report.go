package main

import (
	"encoding/json"
	"io"
	"time"
)

// reportVersion is the version of the report's form, and of status --json.
const reportVersion = 1

// A report is what `up --json` prints. Its names are a promise.
type report struct {
	Version  int             `json:"version"`
	Jobs     []jobReport     `json:"jobs"`
	Sessions []sessionReport `json:"sessions"`
	Payload  payloadReport   `json:"payload"`

	uncounted bool // nobody could count frames, so that none is missed
}

type payloadReport struct {
	State   string   `json:"state"`             // none, installed or damaged
	Version string   `json:"version,omitempty"` // of the installed bundle
	Trial   bool     `json:"trial"`             // it has still to prove itself
	Denied  []string `json:"denied,omitempty"`  // versions that failed here
	Error   string   `json:"error,omitempty"`   // why the last attempt to take a release came to nothing
}

type jobReport struct {
	Label    string `json:"label"` // as launchctl names a service: system/LABEL, gui/SESSION/LABEL
	State    string `json:"state"` // waiting, running, throttled, held or stopping
	Lives    uint64 `json:"lives"`
	Restarts uint64 `json:"restarts"`
}

type sessionReport struct {
	ID     string    `json:"id"`
	Frames uint64    `json:"frames"`  // released by netchild
	FPS    float64   `json:"fps"`     // over the whole run
	GapsMS []float64 `json:"gaps_ms"` // the latest 1024, oldest first

	GapsUnknown bool `json:"gaps_unknown,omitempty"` // nobody measures them here: that there are none says nothing
}

// newReport sums up what ran for d.
func newReport(s snapshot, d time.Duration) report {
	r := report{Version: reportVersion, Jobs: []jobReport{}, Sessions: []sessionReport{}}
	p := s.Payload
	r.Payload = payloadReport{State: string(p.State), Version: p.Version, Trial: p.Trial != nil, Error: p.Error}
	for _, d := range p.Denied {
		r.Payload.Denied = append(r.Payload.Denied, d.Version)
	}
	for _, j := range s.Jobs {
		r.Jobs = append(r.Jobs, jobReport{j.Label, j.State, j.Life, j.Restarts})
	}
	for _, x := range s.Sessions {
		sr := sessionReport{ID: x.ID, Frames: x.Frames, GapsMS: []float64{}, GapsUnknown: x.GapsUnknown}
		if d > 0 {
			sr.FPS = round(float64(x.Frames)/d.Seconds(), 100)
		}
		for _, g := range x.gaps {
			sr.GapsMS = append(sr.GapsMS, ms(g))
		}
		r.Sessions = append(r.Sessions, sr)
	}
	return r
}

func ms(d time.Duration) float64 { return round(float64(d)/float64(time.Millisecond), 1000) }

func round(f, parts float64) float64 { return float64(int64(f*parts+0.5)) / parts }

func (r report) write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// streamed says whether netchild released at least one frame of every login.
func (r report) streamed() bool {
	return r.uncounted || len(r.Sessions) > 0 && len(r.blank()) == 0
}

// blank answers the logins that never streamed.
func (r report) blank() (ids []string) {
	for _, s := range r.Sessions {
		if s.Frames == 0 {
			ids = append(ids, s.ID)
		}
	}
	return ids
}
