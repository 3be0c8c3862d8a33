package wire

import (
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
)

// An object stands for what a transport puts behind a Handle.
type object struct{ closed bool }

func (o *object) Close() error { o.closed = true; return nil }

func handle(k HandleKind) Handle { return Handle{k, &object{}} }

// A message is what all of them are.
type message interface{ Dict() Dict }

func parser[T message](parse func(Dict) (T, error)) func(Dict) (message, error) {
	return func(d Dict) (message, error) {
		m, err := parse(d)
		return m, err
	}
}

// aMoment is when leases are read here.
var aMoment = time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)

func parseLease(d Dict) (Lease, error) { return ParseLease(d, aMoment) }

// samples has for each kind its parser and a message with all its fields set.
func samples() map[Kind]struct {
	parse func(Dict) (message, error)
	full  message
} {
	surfaces := []Handle{handle(HandleSurface), handle(HandleSurface), handle(HandleSurface)}
	logins := []SessionInfo{{"1", 501}, {"c2", MaxUID}}
	return map[Kind]struct {
		parse func(Dict) (message, error)
		full  message
	}{
		KindHello:       {parser(ParseHello), Hello{1, 3, "v1", ClaimAgent, "1"}},
		KindWelcome:     {parser(ParseWelcome), Welcome{2, "v2", 7}},
		KindRefusal:     {parser(ParseRefusal), Refusal{CodeLimit, "no more"}},
		KindOK:          {parser(ParseOK), OK{}},
		KindAttach:      {parser(ParseAttach), Attach{1, 1920, 1080, 7680, 'B', surfaces, handle(HandleFD), handle(HandleEndpoint)}},
		KindAdd:         {parser(ParseAdd), Add{1, handle(HandleSurface)}},
		KindDetach:      {parser(ParseDetach), Detach{8}},
		KindGoodbye:     {parser(ParseGoodbye), Goodbye{ReasonIdle}},
		KindPing:        {parser(ParsePing), Ping{}},
		KindPong:        {parser(ParsePong), Pong{1 << 63}},
		KindRefresh:     {parser(ParseRefresh), Refresh{}},
		KindDescribe:    {parser(ParseDescribe), Describe{}},
		KindDescription: {parser(ParseDescription), Description{"1", "v1"}},
		KindRelay:       {parser(ParseRelay), Relay{"1"}},
		KindRelayed:     {parser(ParseRelayed), Relayed{handle(HandleEndpoint)}},
		KindCheckIn:     {parser(ParseCheckIn), CheckIn{4, "v1", 1, 1}},
		KindTerms:       {parser(ParseTerms), Terms{1, 7, handle(HandleFD), handle(HandleFD), time.Second, time.Minute, time.Hour, logins}},
		KindBeat:        {parser(ParseBeat), Beat{}},
		KindSessions:    {parser(ParseSessions), Sessions{logins}},
		KindLease:       {parser(parseLease), Lease{aMoment}},
	}
}

// What is sent is what is read, and only the parser's success moves handles.
func TestMessagesSurviveTheJourney(t *testing.T) {
	for kind, s := range samples() {
		d := s.full.Dict()
		if err := Check(d); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if k, err := KindOf(d); k != kind || err != nil {
			t.Errorf("%s says it is %q, %v", kind, k, err)
		}
		d["x-later"] = uint64(1) // unknown keys are ignored
		m, err := s.parse(d)
		if err != nil || !reflect.DeepEqual(m, s.full) {
			t.Errorf("%s: %+v became %+v, %v", kind, s.full, m, err)
		}
		if n := countHandles(d); n != 0 {
			t.Errorf("%s: %d handles left in the dictionary", kind, n)
		}
	}
}

func countHandles(d Dict) (n int) {
	Walk(d, func(Handle) { n++ })
	return n
}

// Every field is either optional, as documented, or its absence and a wrong
// type are refused, and a refused message keeps its handles.
func TestMessagesWantTheirFields(t *testing.T) {
	free := map[string]bool{"attach.agent": true, "terms.life": true, "terms.stacks": true, "terms.page": true, "lease.until": true}
	for kind, s := range samples() {
		for key := range s.full.Dict() {
			missing := s.full.Dict()
			delete(missing, key)
			refuse(t, string(kind)+" without "+key, s.parse, missing, free[string(kind)+"."+key])
			for _, v := range []any{nil, true, int64(-1), uint64(1 << 63), 1.5, "\x00", []byte("x"), time.Time{}, UUID{}, []any{1}, Dict{}, Handle{}, handle(HandleFD), 7} {
				wrong := s.full.Dict()
				if reflect.TypeOf(v) == reflect.TypeOf(wrong[key]) {
					continue
				}
				wrong[key] = v
				refuse(t, string(kind)+" with a wrong "+key, s.parse, wrong, false)
			}
		}
		other := s.full.Dict()
		other["k"] = "other"
		refuse(t, string(kind)+" of another kind", s.parse, other, false)
		refuse(t, "empty "+string(kind), s.parse, Dict{}, false)
		refuse(t, "nil "+string(kind), s.parse, nil, false)
	}
}

func refuse(t *testing.T, what string, parse func(Dict) (message, error), d Dict, fine bool) {
	t.Helper()
	before := maps.Clone(d)
	_, err := parse(d)
	if fine {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	if !errors.Is(err, ErrMalformed) {
		t.Errorf("%s: got %v", what, err)
	}
	if !reflect.DeepEqual(before, d) {
		t.Errorf("%s: a refused dictionary was changed", what)
	}
}

// Values beyond their limits, one at a time.
func TestMessagesKeepTheirLimits(t *testing.T) {
	long := strings.Repeat("x", MaxString+1)
	many := make([]any, MaxSessions+1)
	for i := range many {
		many[i] = Dict{"id": strings.Repeat("s", i%MaxSession+1) + string(rune('a'+i/MaxSession)), "uid": uint64(i)}
	}
	login := func(id any, uid any) []any { return []any{Dict{"id": id, "uid": uid}} }
	surface := func(n int, k HandleKind) (a []any) {
		for range n {
			a = append(a, handle(k))
		}
		return a
	}
	for _, c := range []struct {
		kind Kind
		key  string
		bad  []any
	}{
		{KindHello, "min", []any{uint64(0), uint64(4)}},
		{KindHello, "max", []any{uint64(0)}},
		{KindHello, "build", []any{long, "a\nb", "\x1b[2J", "\xff", "\u0085"}},
		{KindHello, "role", []any{"", "supervisor", "netchild"}},
		{KindHello, "session", []any{"", "a/b", "..", ".hidden", "1.1", "a b", strings.Repeat("x", MaxSession+1), "é"}},
		{KindWelcome, "version", []any{uint64(0)}},
		{KindRefusal, "text", []any{long, "a\x00b"}},
		{KindRefusal, "code", []any{long}},
		{KindAttach, "chain", []any{uint64(0), uint64(MaxChains + 1), "1"}},
		{KindAttach, "width", []any{uint64(0), uint64(MaxSide + 1), uint64(1 << 63)}},
		{KindAttach, "height", []any{uint64(0), uint64(MaxSide + 1), uint64(1 << 63)}},
		{KindAttach, "stride", []any{uint64(0), uint64(3), uint64(7681), uint64(MaxStride + 4), uint64(1 << 63)}},
		{KindAttach, "format", []any{uint64(0), uint64(MaxFormat + 1)}},
		{KindAttach, "surfaces", []any{surface(MaxSlots+1, HandleSurface), surface(3, HandleFD), []any{}, []any{nil, nil, nil}, []any{Handle{Kind: HandleSurface}, Handle{}, 1}}},
		{KindAttach, "frames", []any{handle(HandleSurface), Handle{Kind: HandleFD}}},
		{KindAttach, "agent", []any{handle(HandleFD), Handle{Kind: HandleEndpoint}}},
		{KindAdd, "surface", []any{handle(HandleFD), Handle{Kind: HandleSurface}, surface(1, HandleSurface)}},
		{KindGoodbye, "reason", []any{"", "bored"}},
		{KindDescription, "session", []any{"", "/"}},
		{KindRelay, "session", []any{"", "../1"}},
		{KindRelayed, "endpoint", []any{handle(HandleFD)}},
		{KindCheckIn, "min", []any{uint64(0), uint64(2)}},
		{KindTerms, "life", []any{uint64(0), uint64(MaxLife + 1), uint64(1 << 63)}},
		{KindTerms, "hang-limit", []any{int64(-1), int64(MaxDuration + 1)}},
		{KindTerms, "hang-grace", []any{int64(-1), int64(MaxDuration + 1)}},
		{KindTerms, "idle", []any{int64(-1), int64(MaxDuration + 1)}},
		{KindTerms, "page", []any{handle(HandleSurface)}},
		{KindSessions, "sessions", []any{many, []any{1}, login("", uint64(1)), login("1", uint64(MaxUID+1)), login("1", 1), login(1, uint64(1)), append(login("1", uint64(1)), login("1", uint64(2))...)}},
	} {
		s := samples()[c.kind]
		for _, v := range c.bad {
			d := s.full.Dict()
			d[c.key] = v
			if m, err := s.parse(d); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s with %s %v: got %+v, %v", c.kind, c.key, v, m, err)
			}
		}
	}
}

// A chain is attached with any number of surfaces it may have.
func TestAttachTakesAllItsSurfaces(t *testing.T) {
	for n := 1; n <= MaxSlots; n++ {
		at := Attach{Chain: 1, Width: 1, Height: 1, Stride: 4, Format: 1, Frames: handle(HandleFD)}
		for range n {
			at.Surfaces = append(at.Surfaces, handle(HandleSurface))
		}
		if m, err := ParseAttach(at.Dict()); err != nil || len(m.Surfaces) != n {
			t.Errorf("%d surfaces: %v", n, err)
		}
	}
}

// A tool need not belong to a session, an agent must.
func TestHelloSession(t *testing.T) {
	if m, err := ParseHello(Hello{1, 1, "", ClaimTool, ""}.Dict()); err != nil || m.Session != "" {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := ParseHello(Hello{1, 1, "", ClaimAgent, ""}.Dict()); !errors.Is(err, ErrMalformed) {
		t.Errorf("agent without session: %v", err)
	}
}

// Terms of a supervisor that numbers no lives say nothing of one.
func TestTermsWithoutALife(t *testing.T) {
	d := Terms{Version: 1}.Dict()
	if _, there := d["life"]; there {
		t.Errorf("%v", d)
	}
	if m, err := ParseTerms(d); err != nil || m.Life != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

// A lease is bounded by its reader's clock, never refused for it, and may be
// none.
func TestLeaseIsBounded(t *testing.T) {
	for given, want := range map[time.Time]time.Time{
		{}:                             {},
		aMoment.Add(-time.Hour):        aMoment.Add(-time.Hour),
		aMoment.Add(MaxLease):          aMoment.Add(MaxLease),
		aMoment.Add(MaxLease + 1):      aMoment.Add(MaxLease),
		aMoment.Add(1000 * MaxLease):   aMoment.Add(MaxLease),
		time.Unix(1<<62, 0):            aMoment.Add(MaxLease),
		time.Unix(-1<<40, 999_999_999): time.Unix(-1<<40, 999_999_999),
	} {
		if m, err := parseLease(Lease{given}.Dict()); err != nil || !m.Until.Equal(want) {
			t.Errorf("until %v became %v, %v", given, m.Until, err)
		}
	}
}

// A Refusal where an answer was wanted comes out as the error.
func TestRefusalIsTheErrorOfReplies(t *testing.T) {
	for _, kind := range []Kind{KindWelcome, KindOK, KindPong, KindDescription, KindRelayed, KindTerms} {
		_, err := samples()[kind].parse(Refusal{CodeBusy, "later"}.Dict())
		var r Refusal
		if !errors.As(err, &r) || r != (Refusal{CodeBusy, "later"}) {
			t.Errorf("%s: %v", kind, err)
		}
		if _, err := samples()[kind].parse(Dict{"k": "refusal"}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s, refusal without a code: %v", kind, err)
		}
	}
}

// A Refusal can carry any error's text, and a code of the future.
func TestRefusalAlwaysTravels(t *testing.T) {
	for text, want := range map[string]string{
		"line\nline\x1b[m\x00":   "line line [m ",
		"\xff\xfe":               "\ufffd\ufffd",
		strings.Repeat("é", 300): strings.Repeat("é", MaxString/2),
	} {
		r, err := ParseRefusal(Refusal{CodeInternal, text}.Dict())
		if err != nil || r.Text != want {
			t.Errorf("%q became %q, %v", text, r.Text, err)
		}
	}
	if r, err := ParseRefusal(Refusal{"too-hot", ""}.Dict()); err != nil || r.Code != CodeInternal {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestKindOf(t *testing.T) {
	for _, v := range []any{nil, 1, "", "Hello", "a b", "k\x00", strings.Repeat("k", MaxKind+1), []byte("hello")} {
		if k, err := KindOf(Dict{"k": v}); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v is kind %q, %v", v, k, err)
		}
	}
	if k, err := KindOf(Dict{"k": "x-new"}); err != nil || !k.Optional() || KindHello.Optional() {
		t.Errorf("%q, %v", k, err)
	}
}
