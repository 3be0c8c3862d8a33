package main

import (
	"cmp"
	"context"
	"slices"
	"time"

	"portward/internal/config"
	"portward/internal/evidence"
	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/status"
)

// A snapshot is the running product at one moment; `status --json` prints it.
// Its names are a promise.
type snapshot struct {
	Version  int           `json:"version"`
	Time     time.Time     `json:"time"`
	Root     string        `json:"root"`
	Viewer   string        `json:"viewer"` // the page's address, without its token
	Jobs     []jobView     `json:"jobs"`
	Sessions []sessionView `json:"sessions"`
	Held     string        `json:"held,omitempty"`    // why netchild is held and until when
	Hangs    uint64        `json:"hangs,omitempty"`   // of netchild: before the gap of each the picture stood still
	HangMS   float64       `json:"hang_ms,omitempty"` // for so long at least

	Payload status.Payload `json:"payload"` // as in the status file
}

type jobView struct {
	Label    string  `json:"label"`
	State    string  `json:"state"`
	Life     uint64  `json:"life"`
	PID      int     `json:"pid,omitempty"`
	UptimeS  float64 `json:"uptime_s,omitempty"`
	Restarts uint64  `json:"restarts"`
	Verdict  string  `json:"verdict,omitempty"` // on the last death
}

type sessionView struct {
	ID        string  `json:"id"`
	Frames    uint64  `json:"frames"`
	FPS       float64 `json:"fps"` // at the moment
	Gaps      uint64  `json:"gaps"`
	LastGapMS float64 `json:"last_gap_ms"`
	Broken    bool    `json:"broken"`              // a gap is open
	BrokenMS  float64 `json:"broken_ms,omitempty"` // for so long

	FPSUnknown  bool `json:"fps_unknown,omitempty"`  // not measured for long enough yet
	GapsUnknown bool `json:"gaps_unknown,omitempty"` // nobody measures them here

	gaps []time.Duration
}

// snapshot asks the engine, the status file and who counts frames.
func (w *world) snapshot() snapshot {
	s := snapshot{Version: reportVersion, Time: time.Now(), Root: w.o.root, Viewer: "https://" + w.viewer + "/", Jobs: []jobView{}, Sessions: []sessionView{}}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	st, _ := status.Read(program.StatusPath(w.o.root))
	s.Payload = st.Payload
	list, _ := w.engine.List(ctx)
	for _, j := range list {
		v := viewJob(j, st)
		if j.Target == netchildTarget && st.NetChild.Verdict == nil {
			v.Verdict = cmp.Or(lastVerdict(w.o.root), v.Verdict)
		}
		s.Jobs = append(s.Jobs, v)
	}
	if c := st.NetChild; c.State == status.Held {
		s.Held = heldInWords(c)
	}
	w.mu.Lock()
	s.Hangs = w.news.hangs
	w.mu.Unlock()
	if s.Hangs > 0 {
		s.HangMS = ms(cmp.Or(w.o.hang, time.Duration(config.Default().HangLimit)))
	}
	s.Sessions = append(s.Sessions, w.host.sessions(ctx, list)...)
	return s
}

// counted answers the logins whose pages of counters are here.
func (w *world) counted() (views []sessionView) {
	for _, p := range w.people.sessions {
		if r, ok := w.lent.read(p.ID); ok {
			v := sessionView{ID: p.ID, Frames: r.Frames, Gaps: r.Gaps, Broken: r.Open > 0, BrokenMS: ms(r.Open), gaps: r.Latest}
			fps, known := w.rate(p.ID, r.Frames)
			v.FPS, v.FPSUnknown = fps, !known
			if n := len(r.Latest); n > 0 {
				v.LastGapMS = ms(r.Latest[n-1])
			}
			views = append(views, v)
		}
	}
	return views
}

func viewJob(j jobs.State, st status.Status) jobView {
	v := jobView{Label: string(j.Target), State: j.Status.String(), Life: j.Life, PID: j.PID, Restarts: j.Restarts}
	if j.PID != 0 && !j.Since.IsZero() { // launchd does not say of each
		v.UptimeS = round(time.Since(j.Since).Seconds(), 10)
	}
	if j.Last != nil {
		v.Verdict = exitInWords(j.Target, j.Last.String())
	}
	if j.Target == netchildTarget && st.NetChild.Verdict != nil {
		v.Verdict = st.NetChild.Verdict.Class
	}
	return v
}

// lastVerdict answers the class of netchild's last death that was judged. A
// supervisor that succeeds another knows of none; the evidence does.
func lastVerdict(root string) string {
	judged, _, err := evidence.List(program.EvidenceDir(root))
	if err != nil {
		return ""
	}
	for _, r := range slices.Backward(judged) {
		if r.Job == string(netchildTarget) {
			return r.Class
		}
	}
	return ""
}

// A rate is frames per second since the look before, a second ago or more.
type rate struct {
	at     time.Time
	frames uint64
	fps    float64
	known  bool // a second was seen
}

// rate takes a reading of a session's frames, and answers how many there are per
// second, once that is known.
func (w *world) rate(session string, frames uint64) (fps float64, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.rates[session]
	t := time.Now()
	if r == nil {
		r = &rate{at: w.began}
		w.rates[session] = r
	}
	if d := t.Sub(r.at); d >= time.Second {
		r.fps = round(float64(frames-r.frames)/d.Seconds(), 10)
		r.at, r.frames, r.known = t, frames, true
	}
	return r.fps, r.known
}
