package wire

import "time"

// The messages between netchild and the supervisor.

// CheckIn is netchild's first message to the supervisor. Life is the number
// its engine gave it, 0 where the engine gives none.
type CheckIn struct {
	Life     uint64
	Build    string
	Min, Max uint64
}

// Dict is the message as it travels.
func (m CheckIn) Dict() Dict {
	return Dict{"k": string(KindCheckIn), "life": m.Life, "build": m.Build, "min": m.Min, "max": m.Max}
}

// ParseCheckIn reads a CheckIn.
func ParseCheckIn(d Dict) (CheckIn, error) {
	f := open(d, KindCheckIn)
	m := CheckIn{Life: f.uint("life", 0, maxUint), Build: f.text("build")}
	m.Min, m.Max = f.versions()
	return finish(f, m)
}

// ProbeSession is the session in which the supervisor tries a release out: it
// lists it, with the uid that its probe runs as, for as long as it probes.
const ProbeSession = "probe"

// ProbeVariable is in a probe's environment: how long it tries, netchild's start
// included, as time.ParseDuration reads it.
const ProbeVariable = "PORTWARD_PROBE_WITHIN"

// SessionInfo is a login that netchild may serve.
type SessionInfo struct {
	ID  string
	UID uint64 // at most MaxUID
}

// Terms answers a CheckIn: how netchild is watched. Life, the number by which
// this life is known from now on, is optional: 0 where an older supervisor tells
// none. Stacks, where its crash output goes, is optional too (the disk may be
// full), and so is Page, where it shows its progress (where there is none, it
// sends Beats).
type Terms struct {
	Version, Life        uint64 // Life is at most MaxLife
	Stacks, Page         Handle
	HangLimit, HangGrace time.Duration
	Idle                 time.Duration // without a viewer, until netchild ends; 0 is never
	Sessions             []SessionInfo
}

// Dict is the message as it travels.
func (m Terms) Dict() Dict {
	d := Dict{
		"k": string(KindTerms), "version": m.Version,
		"hang-limit": int64(m.HangLimit), "hang-grace": int64(m.HangGrace), "idle": int64(m.Idle),
		"sessions": listSessions(m.Sessions),
	}
	if m.Life != 0 {
		d["life"] = m.Life
	}
	return d.with("stacks", m.Stacks).with("page", m.Page)
}

// ParseTerms reads Terms or the Refusal that came instead.
func ParseTerms(d Dict) (Terms, error) {
	f := openReply(d, KindTerms)
	return finish(f, Terms{
		Version:   f.uint("version", 1, maxUint),
		Life:      f.optionalUint("life", 1, MaxLife),
		Stacks:    f.optional("stacks", HandleFD),
		Page:      f.optional("page", HandleFD),
		HangLimit: f.duration("hang-limit"),
		HangGrace: f.duration("hang-grace"),
		Idle:      f.duration("idle"),
		Sessions:  f.sessions("sessions"),
	})
}

// Beat says that netchild got on with its work; only where no kernel timer
// watches it.
type Beat struct{}

// Dict is the message as it travels.
func (Beat) Dict() Dict { return Dict{"k": string(KindBeat)} }

// ParseBeat reads a Beat.
func ParseBeat(d Dict) (Beat, error) { return finish(open(d, KindBeat), Beat{}) }

// Sessions tells netchild which logins there are now, all of them.
type Sessions struct{ Sessions []SessionInfo }

// Dict is the message as it travels.
func (m Sessions) Dict() Dict {
	return Dict{"k": string(KindSessions), "sessions": listSessions(m.Sessions)}
}

// ParseSessions reads Sessions.
func ParseSessions(d Dict) (Sessions, error) {
	f := open(d, KindSessions)
	return finish(f, Sessions{f.sessions("sessions")})
}

func listSessions(all []SessionInfo) []any {
	list := make([]any, len(all))
	for i, s := range all {
		list[i] = Dict{"id": s.ID, "uid": s.UID}
	}
	return list
}
