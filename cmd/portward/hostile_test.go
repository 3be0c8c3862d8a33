//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"portward/internal/program"
	"portward/internal/wire"
	"portward/internal/xpcpeer"
	"portward/launchd"
)

// A lie is what a hostile agent does and how netchild must take it.
type lie struct {
	tell func(*liar) (confession, error)
	code wire.Code // of the refusal; "" if none may come
	ends bool      // the liar's connection, or its frame channel
}

// lies by an agent of a login, which netchild lets in: its executable cannot be
// seen by another uid.
func lies() map[string]lie {
	const malformed, refused = wire.CodeMalformed, wire.CodeNotPermitted
	set := func(f func(*wire.Attach)) func(*liar) (confession, error) {
		return attaching(true, func(at *wire.Attach) error { f(at); return nil })
	}
	first := func(d wire.Dict) func(*liar) (confession, error) {
		return func(l *liar) (confession, error) {
			l.dial(launchd.NetChildService)
			return l.say(d, true)
		}
	}
	second := func(role string, ends bool, d wire.Dict) func(*liar) (confession, error) {
		return func(l *liar) (confession, error) {
			if err := l.greet(role); err != nil {
				return confession{}, err
			}
			return l.say(d, ends)
		}
	}
	hello := func(min, max uint64, role, session string) wire.Dict {
		return wire.Hello{Min: min, Max: max, Build: "liar", Role: role, Session: session}.Dict()
	}
	frame := func(b []byte, i int, v byte) []byte { b[i] = v; return b }
	good := descriptor(0, 1, 0, 0, 64, 64)

	return map[string]lie{
		// The order of things.
		"attach before hello": {func(l *liar) (confession, error) {
			at, _, err := offer(smallest)
			l.dial(launchd.NetChildService)
			c, err2 := l.say(at.Dict(), true)
			return c, errors.Join(err, err2)
		}, refused, true},
		"relay before hello":     {first(wire.Relay{Session: "2"}.Dict()), refused, true},
		"check-in with netchild": {first(wire.CheckIn{Life: 1, Build: "liar", Min: 1, Max: 1}.Dict()), refused, true},
		"goodbye to netchild":    {first(wire.Goodbye{Reason: wire.ReasonStopping}.Dict()), refused, true},
		"hello twice":            {second(wire.ClaimAgent, true, hello(1, 1, wire.ClaimAgent, "1")), refused, true},
		"attach as a tool": {func(l *liar) (confession, error) {
			err := l.greet(wire.ClaimTool)
			at, _, err2 := offer(smallest)
			c, err3 := l.say(at.Dict(), true)
			return c, errors.Join(err, err2, err3)
		}, refused, true},
		"no kind":                   {first(wire.Dict{"min": uint64(1)}), malformed, true},
		"a kind of nonsense":        {first(wire.Dict{"k": "Hello, World"}), malformed, true},
		"an unknown kind":           {second(wire.ClaimAgent, true, wire.Dict{"k": "reboot"}), refused, true},
		"an optional kind":          {second(wire.ClaimAgent, false, wire.Dict{"k": "x-new"}), wire.CodeUnknown, false},
		"relay of nobody":           {second(wire.ClaimTool, false, wire.Relay{Session: "77"}.Dict()), wire.CodeUnknown, false},
		"relay of a path":           {second(wire.ClaimTool, true, wire.Dict{"k": "relay", "session": "../1"}), malformed, true},
		"the endpoint of another":   {eavesdrop, "", true},
		"a version from the future": {first(hello(1000, 2000, wire.ClaimAgent, "1")), wire.CodeRelaunch, true},

		// Who it is.
		"another's session":  {first(hello(1, 1, wire.ClaimAgent, "2")), refused, true},
		"nobody's session":   {first(hello(1, 1, wire.ClaimAgent, "99")), refused, true},
		"no session":         {first(hello(1, 1, wire.ClaimAgent, "")), malformed, true},
		"a session's path":   {first(hello(1, 1, wire.ClaimAgent, "../2")), malformed, true},
		"a role of its own":  {first(hello(1, 1, "supervisor", "1")), malformed, true},
		"versions backwards": {first(hello(9, 1, wire.ClaimAgent, "1")), malformed, true},

		// Bounds and strides.
		"zero width":              {set(func(at *wire.Attach) { at.Width = 0 }), malformed, true},
		"zero height":             {set(func(at *wire.Attach) { at.Height = 0 }), malformed, true},
		"huge width":              {set(func(at *wire.Attach) { at.Width = 1 << 40 }), malformed, true},
		"huge height":             {set(func(at *wire.Attach) { at.Height = 1<<64 - 1 }), malformed, true},
		"a height beyond memory":  {set(func(at *wire.Attach) { at.Height = 65 }), malformed, true},
		"a height below memory":   {set(func(at *wire.Attach) { at.Height = 1 }), malformed, true},
		"zero stride":             {set(func(at *wire.Attach) { at.Stride = 0 }), malformed, true},
		"stride below the width":  {set(func(at *wire.Attach) { at.Stride = 252 }), malformed, true},
		"stride above the memory": {set(func(at *wire.Attach) { at.Stride = 1024 }), malformed, true},
		"an odd stride":           {set(func(at *wire.Attach) { at.Stride = 257 }), malformed, true},
		"a huge stride":           {set(func(at *wire.Attach) { at.Stride = 1 << 62 }), malformed, true},
		"an unknown format":       {set(func(at *wire.Attach) { at.Format = 1 }), malformed, true},
		"a picture without end":   {set(func(at *wire.Attach) { at.Width, at.Height, at.Stride = 16384, 16384, 65536 }), malformed, true},
		"more bytes than it gets": {hoard, wire.CodeLimit, false},

		// Memory.
		"nine surfaces":         {set(func(at *wire.Attach) { at.Surfaces = slices.Repeat(at.Surfaces, 3) }), malformed, true},
		"no surfaces":           {set(func(at *wire.Attach) { at.Surfaces = nil }), malformed, true},
		"one memory thrice":     {set(func(at *wire.Attach) { at.Surfaces[1], at.Surfaces[2] = at.Surfaces[0], at.Surfaces[0] }), malformed, true},
		"descriptors for pixel": {set(func(at *wire.Attach) { f, _ := at.Surfaces[1].File(); at.Surfaces[1] = wire.FD(f) }), malformed, true},
		"size changes later":    {shrinkLater, malformed, true},
		"memory too small":      {replacing(memory(4096, true)), malformed, true},
		"memory too large":      {replacing(memory(1<<20, true)), malformed, true},
		"empty memory":          {replacing(memory(0, true)), malformed, true},
		"write-only memory":     {replacing(writeOnly), malformed, true},
		"a pipe":                {replacing(func(int) (*os.File, error) { r, _, err := os.Pipe(); return r, err }), malformed, true},
		"a socket":              {replacing(func(int) (*os.File, error) { return socket(unix.SOCK_STREAM) }), malformed, true},
		"/dev/null":             {replacing(func(int) (*os.File, error) { return os.Open(os.DevNull) }), malformed, true},
		"/dev/zero":             {replacing(func(int) (*os.File, error) { return os.OpenFile("/dev/zero", os.O_RDWR, 0) }), malformed, true},
		"a directory":           {replacing(func(int) (*os.File, error) { return os.Open("/") }), malformed, true},
		"a regular file":        {replacing(regular), malformed, true},
		"a nameless file":       {replacing(func(int) (*os.File, error) { return openFlags("/", unix.O_PATH) }), malformed, true},
		"an epoll": {replacing(func(int) (*os.File, error) {
			fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
			return os.NewFile(uintptr(fd), "epoll"), err
		}), malformed, true},

		// The frame channel's descriptor.
		"no frame channel":      {withoutFrames, malformed, true},
		"frames by pipe":        {channel(func() (*os.File, error) { r, _, err := os.Pipe(); return r, err }), malformed, true},
		"frames by stream":      {channel(func() (*os.File, error) { return socket(unix.SOCK_STREAM) }), malformed, true},
		"frames by datagram":    {channel(func() (*os.File, error) { return socket(unix.SOCK_DGRAM) }), malformed, true},
		"frames by a file":      {channel(func() (*os.File, error) { return regular(0) }), malformed, true},
		"frames by a listener":  {channel(listening), malformed, true},
		"frames by memory":      {channel(func() (*os.File, error) { return memory(16384, true)(0) }), malformed, true},
		"frames by its surface": {set(func(at *wire.Attach) { at.Frames = at.Surfaces[0] }), malformed, true},

		// The endpoint that netchild shall call.
		"a file as endpoint": {calledAt(func(*liar) (*os.File, error) { return regular(0) }), malformed, true},
		"netchild as endpoint": {calledAt(func(l *liar) (*os.File, error) {
			return openFlags(filepath.Join(program.RunDir(l.root), launchd.NetChildService), unix.O_PATH)
		}), "", false},
		"the supervisor as endpoint": {calledAt(func(l *liar) (*os.File, error) {
			return openFlags(filepath.Join(program.RunDir(l.root), launchd.CheckInService), unix.O_PATH)
		}), "", false},
		"a dead end as endpoint": {calledAt(func(*liar) (*os.File, error) { return socket(unix.SOCK_SEQPACKET) }), "", false},
		"a deaf endpoint":        {calledAt(func(*liar) (*os.File, error) { return listening() }), "", false},

		// Frames.
		"slot three":             {framing(3, descriptor(3, 9, 0, 0, 64, 64)), "", true},
		"slot 255":               {framing(0, descriptor(255, 1, 0, 0, 64, 64)), "", true},
		"a rectangle too wide":   {framing(1, descriptor(1, 9, 0, 0, 65, 64)), "", true},
		"a rectangle too high":   {framing(1, descriptor(1, 9, 0, 0, 64, 65)), "", true},
		"a rectangle outside":    {framing(1, descriptor(1, 9, 64, 64, 1, 1)), "", true},
		"a rectangle that wraps": {framing(1, descriptor(1, 9, 65535, 65535, 65535, 65535)), "", true},
		"half a rectangle":       {framing(1, descriptor(1, 9, 0, 0, 64, 0)), "", true},
		"sequence zero":          {framing(0, descriptor(0, 0, 0, 0, 64, 64)), "", true},
		"sequence backwards":     {framing(2, descriptor(2, 1, 0, 0, 64, 64)), "", true},
		"reserved bytes":         {framing(1, frame(descriptor(1, 9, 0, 0, 64, 64), 2, 1)), "", true},
		"a short descriptor":     {framing(1, descriptor(1, 9, 0, 0, 64, 64)[:63]), "", true},
		"a byte":                 {framing(0, []byte{0}), "", true},
		"nothing":                {framing(1, []byte{}), "", true},
		"a long descriptor":      {framing(1, append(descriptor(1, 9, 0, 0, 64, 64), 0)), "", true},
		"64 KiB of descriptor":   {framing(0, make([]byte, 1<<16)), "", true},
		"a slot that is out":     {framing(0, slices.Repeat([][]byte{good}, 64)...), "", true},

		// Too much of everything.
		"10,000 calls, unread answers": {func(l *liar) (confession, error) {
			m, err := l.muteAgent()
			if err != nil {
				return confession{}, err
			}
			return m.flood(10_000, packetCall, wire.Dict{"k": "x-flood"})
		}, "", true},
		"10,000 detaches, and then some": {chatter, "", false},
		"10,000 descriptors":             {smuggle, "", true}, // after a hundred that were not wanted
		"a thousand surfaces":            {thousand, wire.CodeLimit, false},
	}
}

// visits are what strangers do at the doors.
func visits() map[string]lie {
	return map[string]lie{
		"netchild's door":             {knocking(launchd.NetChildService), "", true},
		"the supervisor's door":       {knocking(launchd.CheckInService), "", true},
		"the control door":            {knocking(controlName), "", true},
		"silent at netchild's":        {silent(launchd.NetChildService, 100), "", false},
		"silent at the supervisor's":  {silent(launchd.CheckInService, 100), "", false},
		"insistent at netchild's":     {insistent(launchd.NetChildService), "", false},
		"insistent at the supervisor": {insistent(launchd.CheckInService), "", false},
	}
}

func allLies() map[string]lie {
	all := lies()
	for name, v := range visits() {
		all[name] = v
	}
	return all
}

// hoard attaches one chain of almost everything an agent may have, and then
// another.
func hoard(l *liar) (confession, error) {
	if err := l.greet(wire.ClaimAgent); err != nil {
		return confession{}, err
	}
	// 8 * 160 MiB is more than 1100 MiB. The memory is sparse.
	large := smallest
	large.Width, large.Height, large.Stride = 16384, 2560, 65536
	at, _, err := offer(large)
	if err != nil {
		return confession{}, err
	}
	for len(at.Surfaces) < wire.MaxSlots {
		f, err := memory(large.Size(), true)(0)
		if err != nil {
			return confession{}, err
		}
		at.Surfaces = append(at.Surfaces, wire.Surface(f))
	}
	return l.say(at.Dict(), false)
}

// withoutFrames leaves the frame channel out.
func withoutFrames(l *liar) (confession, error) {
	err := l.greet(wire.ClaimAgent)
	at, _, err2 := offer(smallest)
	if err := errors.Join(err, err2); err != nil {
		return confession{}, err
	}
	d := at.Dict()
	delete(d, "frames")
	return l.say(d, true)
}

// shrinkLater offers memory of the right size that can still be cut.
func shrinkLater(l *liar) (confession, error) {
	var files []*os.File
	c, err := replacing(func(i int) (*os.File, error) {
		f, err := memory(smallest.Size(), false)(i)
		files = append(files, f)
		return f, err
	})(l)
	for _, f := range files {
		if terr := f.Truncate(0); terr != nil { // whoever mapped it dies of it
			return c, terr
		}
	}
	return c, err
}

// thousand attaches chain after chain, until the limit answers: each takes the
// place of the one before at the hub, and none is detached.
func thousand(l *liar) (confession, error) {
	if err := l.greet(wire.ClaimAgent); err != nil {
		return confession{}, err
	}
	for i := range uint64(334) {
		at, _, err := offer(smallest)
		if err != nil {
			return confession{}, err
		}
		at.Chain = i%wire.MaxChains + 1
		if c, err := l.say(at.Dict(), false); err != nil || c.Ended {
			if i < 2 {
				err = fmt.Errorf("chain %d: %w", i, err)
			}
			return c, err
		}
		for _, h := range append(at.Surfaces, at.Frames) {
			h.Close()
		}
	}
	return confession{}, errors.New("a thousand surfaces were taken")
}

// chatter says ten thousand things that want no answer.
func chatter(l *liar) (confession, error) {
	m, err := l.muteAgent()
	if err != nil {
		return confession{}, err
	}
	if c, err := m.flood(10_000, packetMessage, wire.Detach{Chain: 1}.Dict()); err != nil || c.Ended {
		return c, errors.Join(err, errors.New("messages that are permitted ended the connection"))
	}
	// It is still served.
	if err := m.send(packetCall, 1, wire.Dict{"k": "x-still-there"}); err != nil {
		return confession{}, err
	}
	return confession{}, m.read()
}

// smuggle sends descriptors that nobody asked for.
func smuggle(l *liar) (confession, error) {
	m, err := l.muteAgent()
	if err != nil {
		return confession{}, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return confession{}, err
	}
	fds := slices.Repeat([]int{int(null.Fd())}, wire.MaxHandles)
	hs := make([]any, len(fds))
	for i := range hs {
		hs[i] = handleTag(i)
	}
	if c, err := m.flood(10_000/len(fds), packetMessage, wire.Dict{"k": "x-gift", "all": hs}, fds...); err != nil || c.Ended {
		return c, errors.Join(err, errors.New("gifts ended the connection"))
	}
	if err := m.send(packetCall, 1, wire.Dict{"k": "x-still-there"}); err != nil {
		return confession{}, err
	}
	return confession{}, m.read()
}

// eavesdrop asks netchild for another login's endpoint, as every tool may, and
// calls there: whom an agent serves is its own to say.
func eavesdrop(l *liar) (confession, error) {
	if err := l.greet(wire.ClaimTool); err != nil {
		return confession{}, err
	}
	d, err := l.call(wire.Relay{Session: "2"}.Dict())
	if err != nil {
		return confession{}, err
	}
	r, err := wire.ParseRelayed(d)
	if err != nil {
		return confession{}, err
	}
	c, err := xpcpeer.DialEndpoint(xpcpeer.Unix(program.RunDir(l.root), nil), r.Endpoint, xpcpeer.Config{Policy: anyone})
	if err != nil {
		return confession{}, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	_, err = c.Call(ctx, wire.Describe{}.Dict())
	return confession{Ended: errors.Is(err, xpcpeer.ErrRefused)}, err
}

// calledAt attaches with a strange endpoint.
func calledAt(make func(*liar) (*os.File, error)) func(*liar) (confession, error) {
	return func(l *liar) (confession, error) {
		f, err := make(l)
		if err != nil {
			return confession{}, err
		}
		ends := f.Name() == "regular"
		c, err := attaching(ends, func(at *wire.Attach) error {
			at.Agent = wire.Handle{Kind: wire.HandleEndpoint, Object: f}
			return nil
		})(l)
		return c, err
	}
}

// insistent connects again and again until it is let go.
func insistent(service string) func(*liar) (confession, error) {
	return func(l *liar) (confession, error) {
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if m, err := l.mute(service); err == nil {
					m.read() // the refusal
					unix.Close(int(m))
				}
			}
		}()
		defer close(stop)
		return l.hold(confession{})
	}
}

func memory(size int, sealed bool) func(int) (*os.File, error) {
	return func(int) (*os.File, error) {
		fd, err := unix.MemfdCreate("lie", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err == nil {
			err = unix.Ftruncate(fd, int64(size))
		}
		if err == nil && sealed {
			_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
		}
		return os.NewFile(uintptr(fd), "lie"), err
	}
}

func writeOnly(i int) (*os.File, error) {
	f, err := memory(smallest.Size(), true)(i)
	if err != nil {
		return nil, err
	}
	return openFlags(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.O_WRONLY)
}

func openFlags(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func regular(int) (*os.File, error) {
	f, err := os.CreateTemp("", "lie-")
	if err == nil {
		err = errors.Join(f.Truncate(int64(smallest.Size())), os.Remove(f.Name()))
	}
	if err != nil {
		return nil, err
	}
	fd, err := unix.Dup(int(f.Fd()))
	return os.NewFile(uintptr(fd), "regular"), err
}

func socket(kind int) (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "socket"), nil
}

// listening answers a socket that listens and never accepts.
func listening() (*os.File, error) {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "lie-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	if err := errors.Join(unix.Bind(s, &unix.SockaddrUnix{Name: path}), unix.Listen(s, 8)); err != nil {
		return nil, err
	}
	return openFlags(path, unix.O_PATH)
}

// An onlooker holds what must not change while somebody else is guilty.
type onlooker struct {
	r        *running
	netchild jobView
	life     map[string]uint64
	fds      int
	maps     int
}

// settled waits until both logins stream and netchild holds as much as before
// for a while.
func (r *running) settled(t *testing.T) *onlooker {
	t.Helper()
	var o *onlooker
	same := 0
	r.await("netchild has settled", func(s snapshot) bool {
		n := job(s, string(netchildTarget))
		if !streaming(s) || n.PID == 0 {
			same = 0
			return false
		}
		now := &onlooker{r: r, netchild: n, fds: countFDs(n.PID), maps: countSurfaces(n.PID), life: map[string]uint64{}}
		for _, j := range s.Jobs {
			now.life[j.Label] = j.Life
		}
		if same++; o == nil || o.fds != now.fds || o.maps != now.maps || now.maps != 3*len(s.Sessions) {
			same = 0
		}
		o = now
		return same >= 5
	})
	return o
}

// unmoved waits until netchild holds what it held, and the logins that are
// named got frames since; nobody's life may have changed.
func (o *onlooker) unmoved(t *testing.T, before snapshot, logins ...string) {
	t.Helper()
	what := fmt.Sprintf("netchild is as it was: %d descriptors, %d mapped surfaces", o.fds, o.maps)
	o.r.await(what, func(s snapshot) bool {
		for _, j := range s.Jobs {
			if j.Life != o.life[j.Label] {
				t.Fatalf("%s is in life %d, was in %d", j.Label, j.Life, o.life[j.Label])
			}
		}
		for _, id := range logins {
			was, is := session(before, id), session(s, id)
			if is.Gaps != was.Gaps {
				t.Fatalf("login %s had a gap: %+v, before %+v", id, is, was)
			}
			if is.Frames <= was.Frames {
				return false
			}
		}
		return streaming(s) && countFDs(o.netchild.PID) <= o.fds && countSurfaces(o.netchild.PID) <= o.maps
	})
}

func countFDs(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list)
}

// countSurfaces answers how many surfaces a process has mapped, proc(5).
func countSurfaces(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	return strings.Count(string(b), "memfd:portward-surface")
}

// uidOf answers whose process it is.
func uidOf(t *testing.T, pid int) uint32 {
	t.Helper()
	fi, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		t.Fatal(err)
	}
	return fi.Sys().(*syscall.Stat_t).Uid
}

// A uid that has no session and no process.
const strangerUID = 60321

func logged(t *testing.T, r *running, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.root, "log", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Rule: an agent that lies is refused or cut off, with a reason, and costs
// nobody else anything: netchild lives on with the descriptors and the memory
// that it had, and the other login's frames keep coming.
func TestLyingAgent(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: only another uid's executable is hidden from netchild")
	}
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	look := r.settled(t)
	uid := uidOf(t, job(r.await("both stream", streaming), string(agentTarget("1"))).PID)
	if uid == 0 || uid == uidOf(t, look.netchild.PID) {
		t.Fatalf("login 1 has uid %d", uid)
	}
	all := lies()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		l := all[name]
		t.Run(strings.ReplaceAll(name, "/", "_"), func(t *testing.T) {
			before, err := r.status()
			if err != nil {
				t.Fatal(err)
			}
			c := r.tell(t, uid, "1", name).hear()
			if c.Code != l.code || c.Ended != l.ends {
				t.Errorf("the liar heard %+v; want code %q, ended %v", c, l.code, l.ends)
			}
			if taken := l.code == "" && !l.ends; taken && c.Text != "" || l.code != "" && c.Text == "" {
				t.Errorf("the liar heard %q", c.Text)
			}
			t.Log(c.Text)
			look.unmoved(t, before, "2")
		})
	}
	r.stop()
}

// Rule: a process that no session's user runs, or that runs what the seal does
// not name, is turned away at every door, and nobody else notices.
func TestStranger(t *testing.T) {
	asUsers(t, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "testcard"}})
		look := r.settled(t)
		stranger := uint32(uid) // whose executable is not in the seal
		if uid == 0 {
			stranger = strangerUID
		}
		for _, door := range []string{"netchild's door", "the supervisor's door"} {
			before, err := r.status()
			if err != nil {
				t.Fatal(err)
			}
			x := r.tell(t, stranger, "1", door)
			c := x.hear()
			look.unmoved(t, before, "1", "2")
			if uid == 0 && door != "netchild's door" {
				if !strings.Contains(c.Text, "permission denied") {
					t.Errorf("%s: %+v", door, c)
				}
				continue
			}
			if !c.Ended {
				t.Errorf("%s: %+v", door, c)
			}
			log := logged(t, r, "netchild.log")
			if door != "netchild's door" {
				log = logged(t, r, "supervisor.log")
			}
			if want := fmt.Sprintf("process %d of uid %d", x.cmd.Process.Pid, stranger); !strings.Contains(log, want) {
				t.Errorf("%s: nothing of %s in the log:\n%s", door, want, log)
			}
		}
		r.stop()
	})
}

// Rule: as root, an agent's user is a stranger to the supervisor.
func TestAgentAtTheSupervisorsDoor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: as an ordinary user all have one uid")
	}
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	look := r.settled(t)
	s := r.await("both stream", streaming)
	if c := r.tell(t, uidOf(t, job(s, string(agentTarget("1"))).PID), "1", "the supervisor's door").hear(); !strings.Contains(c.Text, "permission denied") {
		t.Errorf("an agent's user: %+v", c)
	}
	if c := r.tell(t, uidOf(t, look.netchild.PID), "1", "the supervisor's door").hear(); !c.Ended {
		t.Errorf("another process of netchild's user: %+v", c)
	}
	look.unmoved(t, s, "1", "2")
	r.stop()
}

// Rule: the control socket belongs to the user who runs up; what it does not
// understand it answers, and lives on.
func TestControlSocket(t *testing.T) {
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	look := r.settled(t)
	before := r.await("both stream", streaming)
	fi, err := os.Lstat(filepath.Join(program.RunDir(r.root), controlName))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the control socket: %v, %v", fi.Mode(), err)
	}
	for _, req := range []request{{}, {Op: "halt"}, {Op: "poke", Job: "init", Fault: "crash"}, {Op: "poke", Job: "netchild", Fault: "melt"}, {Op: "poke", Job: "guiagent/9", Fault: "crash"}, {Op: "kickstart", Job: "guiagent/9"}} {
		if _, err := ask(r.root, req); err == nil {
			t.Errorf("%+v was carried out", req)
		}
	}
	l := &liar{root: r.root}
	m, err := l.mute(controlName)
	if err == nil {
		err = m.read() // the welcome
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(int(m))
	if _, err := unix.SendmsgN(int(m), []byte("GET / HTTP/1.0\r\n\r\n"), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		t.Fatal(err)
	}
	if err := m.read(); err == nil {
		t.Error("nonsense was answered")
	}
	if os.Geteuid() == 0 {
		c := r.tell(t, strangerUID, "", "the control door").hear()
		if !strings.Contains(c.Text, "permission denied") {
			t.Errorf("a stranger at the control socket: %+v", c)
		}
	} else {
		t.Log("needs root for another user at the control socket")
	}
	look.unmoved(t, before, "1", "2")
	r.stop()
}

// Rule: strangers who open a hundred connections and say nothing, or come back
// for ever, keep nobody out: neither an agent that starts anew, nor netchild
// from its supervisor.
func TestFloodOfStrangers(t *testing.T) {
	asUsers(t, func(t *testing.T, uid int) {
		r := startUp(t, upSpec{uid: uid, args: []string{"--source", "testcard", "--healthy", "200ms"}})
		look := r.settled(t)
		stranger := uint32(uid)
		if uid == 0 {
			stranger = strangerUID
		}
		var flood []*telling
		for _, visit := range []string{"silent at netchild's", "silent at the supervisor's", "insistent at netchild's", "insistent at the supervisor"} {
			x := r.tell(t, stranger, "1", visit)
			x.hear()
			flood = append(flood, x)
		}
		before := r.await("both stream", streaming)
		r.poke("guiagent/2", "--crash")
		r.await("the new agent streams", func(s snapshot) bool {
			return job(s, string(agentTarget("2"))).Life > look.life[string(agentTarget("2"))] && streaming(s) && session(s, "2").Frames > session(before, "2").Frames
		})
		before = r.await("both stream", streaming)
		r.poke("netchild", "--crash")
		r.await("both stream to the new netchild", func(s snapshot) bool {
			return job(s, string(netchildTarget)).Life > look.netchild.Life && streaming(s) &&
				session(s, "1").Frames > session(before, "1").Frames && session(s, "2").Frames > session(before, "2").Frames
		})
		for _, x := range flood {
			x.end()
		}
		r.settled(t)
		r.stop()
	})
}

// Rule: a login that is let in and opens a hundred connections without saying
// anything keeps no other login out.
func TestFloodOfOneLogin(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: as an ordinary user all logins have one uid")
	}
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	look := r.settled(t)
	before := r.await("both stream", streaming)
	flood := r.tell(t, uidOf(t, job(before, string(agentTarget("1"))).PID), "1", "silent at netchild's")
	flood.hear()
	r.poke("guiagent/2", "--crash")
	s := r.await("the other login streams again", func(s snapshot) bool {
		return job(s, string(agentTarget("2"))).Life > look.life[string(agentTarget("2"))] && !session(s, "2").Broken && session(s, "2").Frames > session(before, "2").Frames
	})
	if n := countFDs(look.netchild.PID); n > look.fds+64*4+8 { // a socket, who is there, and two to wait with
		t.Errorf("a hundred connections cost %d descriptors", n-look.fds)
	}
	flood.end()
	look.life[string(agentTarget("2"))] = job(s, string(agentTarget("2"))).Life
	look.unmoved(t, s, "1", "2")
	r.stop()
}

// Rule: a stranger at the viewer's port costs nobody anything; nonsense is not
// answered in plain text.
func TestNonsenseAtTheViewersPort(t *testing.T) {
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	look := r.settled(t)
	before := r.await("both stream", streaming)
	addr := strings.TrimSuffix(strings.TrimPrefix(before.Viewer, "https://"), "/")
	var held []net.Conn
	for i := range 64 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		if i%2 == 0 {
			fmt.Fprintf(c, "\x00\x01nonsense %d\r\n\r\n", i)
		}
	}
	r.await("both get on", func(s snapshot) bool {
		return session(s, "1").Frames > session(before, "1").Frames && session(s, "2").Frames > session(before, "2").Frames
	})
	for _, c := range held {
		c.Close()
	}
	look.unmoved(t, before, "1", "2")
	r.stop()
}
