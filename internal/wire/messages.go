package wire

import (
	"fmt"
	"time"
)

// Every message is a struct with a Dict method and a ParseX function. ParseX
// wants the right kind, every field not marked optional, and every value
// within its limit (read.go); keys it does not know it ignores, so that fields
// can be added. Its error is ErrMalformed. Only on success does it take the
// message's handles out of the Dict; they are then the caller's to close.
//
// A parser of replies given a Refusal answers that Refusal as its error.

// The roles a client of netchild can claim in its Hello. Claimed, not proven:
// what the kernel says of the peer decides (package xpcpeer).
const (
	ClaimAgent = "guiagent"
	ClaimTool  = "tool"
)

// Hello is the first message to netchild: which versions the client speaks and
// who it says it is. Session is optional for a tool.
type Hello struct {
	Min, Max uint64
	Build    string
	Role     string
	Session  string
}

// Dict is the message as it travels.
func (m Hello) Dict() Dict {
	d := Dict{"k": string(KindHello), "min": m.Min, "max": m.Max, "build": m.Build, "role": m.Role}
	if m.Session != "" {
		d["session"] = m.Session
	}
	return d
}

// ParseHello reads a Hello.
func ParseHello(d Dict) (Hello, error) {
	f := open(d, KindHello)
	m := Hello{Build: f.text("build"), Role: oneOf(f, "role", ClaimAgent, ClaimTool)}
	m.Min, m.Max = f.versions()
	if _, there := d["session"]; there || m.Role == ClaimAgent {
		m.Session = f.session("session")
	}
	return finish(f, m)
}

// Welcome answers a Hello: the version spoken from now on, netchild's build
// and its life.
type Welcome struct {
	Version uint64
	Build   string
	Life    uint64
}

// Dict is the message as it travels.
func (m Welcome) Dict() Dict {
	return Dict{"k": string(KindWelcome), "version": m.Version, "build": m.Build, "life": m.Life}
}

// ParseWelcome reads a Welcome or the Refusal that came instead.
func ParseWelcome(d Dict) (Welcome, error) {
	f := openReply(d, KindWelcome)
	return finish(f, Welcome{f.uint("version", 1, maxUint), f.text("build"), f.uint("life", 0, maxUint)})
}

// A Code says why a call was refused, for programs. Append-only.
type Code string

// The codes. A receiver treats one it does not know as CodeInternal.
const (
	CodeRelaunch     Code = "relaunch"      // no version in common: end, and let the job's engine start the new build
	CodeNotPermitted Code = "not-permitted" // not from this role in this phase
	CodeMalformed    Code = "malformed"
	CodeLimit        Code = "limit" // beyond what one peer gets
	CodeUnknown      Code = "unknown"
	CodeBusy         Code = "busy" // later, perhaps
	CodeInternal     Code = "internal"
)

// A Refusal answers a call that was not carried out. It is an error, and what
// a parser of replies returns when it meets one.
type Refusal struct {
	Code Code
	Text string // for people
}

func (m Refusal) Error() string { return fmt.Sprintf("refused (%s): %s", m.Code, m.Text) }

// Dict is the message as it travels. Text may be any error's: what cannot
// travel in it is replaced or cut off.
func (m Refusal) Dict() Dict {
	return Dict{"k": string(KindRefusal), "code": string(m.Code), "text": clean(m.Text)}
}

// ParseRefusal reads a Refusal.
func ParseRefusal(d Dict) (Refusal, error) {
	f := open(d, KindRefusal)
	m := Refusal{Code: Code(f.text("code")), Text: f.text("text")}
	if f.err == nil && !m.Code.known() {
		m.Code = CodeInternal
	}
	return finish(f, m)
}

func (c Code) known() bool {
	switch c {
	case CodeRelaunch, CodeNotPermitted, CodeMalformed, CodeLimit, CodeUnknown, CodeBusy, CodeInternal:
		return true
	}
	return false
}

// Attach hands a swap chain to netchild, with all the surfaces it has so far: a
// chain whose surfaces somebody else makes grows by Add. Agent, the endpoint of the
// agent's own listener, is optional. A chain's number is that of its screen in the
// login, from 1; attaching it again replaces it.
type Attach struct {
	Chain                 uint64
	Width, Height, Stride uint64   // pixels, pixels, bytes
	Format                uint64   // a four-character code
	Surfaces              []Handle // 1 to MaxSlots, in the order of their slots
	Frames                Handle   // one end of the frame channel
	Agent                 Handle
}

// Dict is the message as it travels.
func (m Attach) Dict() Dict {
	surfaces := make([]any, len(m.Surfaces))
	for i, h := range m.Surfaces {
		surfaces[i] = h
	}
	d := Dict{
		"k": string(KindAttach), "chain": m.Chain,
		"width": m.Width, "height": m.Height, "stride": m.Stride, "format": m.Format,
		"surfaces": surfaces, "frames": m.Frames,
	}
	return d.with("agent", m.Agent)
}

// ParseAttach reads an Attach. That the geometry fits together and to the
// surfaces is for package surface to say.
func ParseAttach(d Dict) (Attach, error) {
	f := open(d, KindAttach)
	m := Attach{
		Chain:    f.uint("chain", 1, MaxChains),
		Width:    f.uint("width", 1, MaxSide),
		Height:   f.uint("height", 1, MaxSide),
		Stride:   f.uint("stride", 4, MaxStride),
		Format:   f.uint("format", 1, MaxFormat),
		Surfaces: f.handles("surfaces", HandleSurface, 1, MaxSlots),
		Frames:   f.handle("frames", HandleFD),
		Agent:    f.optional("agent", HandleEndpoint),
	}
	if m.Stride%4 != 0 {
		f.fault("stride", "%d is no multiple of four", m.Stride)
	}
	return finish(f, m)
}

// Add gives an attached chain one surface more, which gets the next slot;
// answered by OK. The agent puts no frame into it before: so netchild never
// hears of a slot that it does not know.
type Add struct {
	Chain   uint64
	Surface Handle
}

// Dict is the message as it travels.
func (m Add) Dict() Dict {
	return Dict{"k": string(KindAdd), "chain": m.Chain, "surface": m.Surface}
}

// ParseAdd reads an Add.
func ParseAdd(d Dict) (Add, error) {
	f := open(d, KindAdd)
	return finish(f, Add{f.uint("chain", 1, MaxChains), f.handle("surface", HandleSurface)})
}

// Detach ends a chain.
type Detach struct{ Chain uint64 }

// Dict is the message as it travels.
func (m Detach) Dict() Dict { return Dict{"k": string(KindDetach), "chain": m.Chain} }

// ParseDetach reads a Detach.
func ParseDetach(d Dict) (Detach, error) {
	f := open(d, KindDetach)
	return finish(f, Detach{f.uint("chain", 1, MaxChains)})
}

// Lease asks not to be disturbed until then, by an update for one: an agent
// tells netchild, and netchild tells the supervisor the latest of its agents'.
// Each replaces the one before; the zero time, like one that is over, ends it.
type Lease struct{ Until time.Time }

// Dict is the message as it travels.
func (m Lease) Dict() Dict {
	d := Dict{"k": string(KindLease)}
	if !m.Until.IsZero() {
		d["until"] = m.Until
	}
	return d
}

// ParseLease reads a Lease. One that ends more than MaxLease after now, the
// reader's, is taken to end then and is not refused: a clock that was set back
// is no fault of the sender's.
func ParseLease(d Dict, now time.Time) (Lease, error) {
	f := open(d, KindLease)
	m := Lease{f.optionalDate("until")}
	if latest := now.Add(MaxLease); m.Until.After(latest) {
		m.Until = latest
	}
	return finish(f, m)
}

// Why netchild says Goodbye.
const (
	ReasonIdle     = "idle"     // nobody looks; it comes back when somebody does
	ReasonStopping = "stopping" // it was asked to end
)

// Goodbye says that netchild ends on purpose.
type Goodbye struct{ Reason string }

// Dict is the message as it travels.
func (m Goodbye) Dict() Dict { return Dict{"k": string(KindGoodbye), "reason": m.Reason} }

// ParseGoodbye reads a Goodbye.
func ParseGoodbye(d Dict) (Goodbye, error) {
	f := open(d, KindGoodbye)
	return finish(f, Goodbye{oneOf(f, "reason", ReasonIdle, ReasonStopping)})
}

// OK answers a call that has nothing else to say.
type OK struct{}

// Dict is the message as it travels.
func (OK) Dict() Dict { return Dict{"k": string(KindOK)} }

// ParseOK reads an OK or the Refusal that came instead.
func ParseOK(d Dict) (OK, error) { return finish(openReply(d, KindOK), OK{}) }

const maxUint = 1<<64 - 1

// with adds a handle, if there is one.
func (d Dict) with(key string, h Handle) Dict {
	if h.Object != nil {
		d[key] = h
	}
	return d
}

// versions reads the range of versions a peer speaks.
func (f *fields) versions() (low, high uint64) {
	low, high = f.uint("min", 1, maxUint), f.uint("max", 1, maxUint)
	if low > high {
		f.fault("min", "%d is above max %d", low, high)
	}
	return low, high
}
