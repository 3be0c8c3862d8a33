package jobs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"howett.net/plist"
)

// maxSpec bounds a plist in bytes; launchd's own are a few hundred.
const maxSpec = 64 << 10

// DefaultExitTimeOut is how long a job may take to obey SIGTERM when its plist
// does not say.
const DefaultExitTimeOut = 20 * time.Second

// A Spec is one job's plist, checked, with the keys of launchd.plist(5) in
// their documented meaning. It is not changed after it was parsed.
type Spec struct {
	File             string // where it came from, for messages
	Label            string
	Program          string   // absolute: Program, or the first of ProgramArguments
	Arguments        []string // argv, the zeroth included
	MachServices     []string // sorted
	Sockets          []Socket // sorted by Key
	RunAtLoad        bool
	KeepAlive        KeepAlive
	WatchPaths       []string
	StartInterval    time.Duration // between two ticks, counted from the load; 0 if not given
	ThrottleInterval time.Duration // between two starts; 0 if not given
	ExitTimeOut      time.Duration // 0 waits for ever, as in launchd
	SessionTypes     []SessionType // LimitLoadToSessionType; Aqua if not given
	Environment      map[string]string
	StandardOutPath  string // "" is /dev/null
	StandardErrorPath,
	WorkingDirectory, // "" is /
	UserName,
	GroupName string
	Umask               *int // nil leaves the engine's own
	AbandonProcessGroup bool

	// Known and checked; they mean something to launchd only.
	ProcessType         string
	LowPriorityIO       bool
	AssociatedBundleIDs []string
}

// A Socket is one entry of Sockets: a listening TCP socket that the engine
// holds and the job inherits under its key.
type Socket struct {
	Key         string
	NodeName    string // SockNodeName; "" is every address
	ServiceName string // SockServiceName, a port or a name of services(5)
	Family      string // SockFamily: "", "IPv4" or "IPv6"
}

// KeepAlive says when a job that is not running should be. Several of its
// conditions are ORed.
type KeepAlive struct {
	Always         bool
	SuccessfulExit *bool
	Crashed        *bool
	PathState      map[string]bool // path -> whether it has to exist
}

// Any tells whether the key asks for anything.
func (k KeepAlive) Any() bool {
	return k.Always || k.SuccessfulExit != nil || k.Crashed != nil || len(k.PathState) > 0
}

// atLoad tells whether the key implies RunAtLoad: an exit has to happen before
// it can be judged.
func (k KeepAlive) atLoad() bool {
	return k.Always || k.SuccessfulExit != nil || k.Crashed != nil
}

// after tells whether a job that ended with x is to be started again.
func (k KeepAlive) after(x Exit) bool {
	return k.Always ||
		k.SuccessfulExit != nil && *k.SuccessfulExit == x.Success() ||
		k.Crashed != nil && *k.Crashed == crashed(x)
}

// LoadSpec reads and parses the plist at path.
func LoadSpec(path string) (*Spec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &SpecError{File: path, Err: err}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSpec+1))
	if err != nil {
		return nil, &SpecError{File: path, Err: err}
	}
	return ParseSpec(path, data)
}

// ParseSpec parses an XML property list; name is what its errors call it. A key
// that launchd.plist(5) does not have, or that this engine could only ignore, is
// an error, a value of the wrong type too. So is Disabled: a job is loaded or
// it is not.
func ParseSpec(name string, data []byte) (*Spec, error) {
	top, err := decode(data)
	if err != nil {
		return nil, &SpecError{File: name, Err: err}
	}
	s := &Spec{File: name, ExitTimeOut: DefaultExitTimeOut, SessionTypes: []SessionType{Aqua}}
	if err := walk(top, "", s.key); err != nil {
		return nil, inFile(name, err)
	}
	if err := s.complete(); err != nil {
		return nil, inFile(name, err)
	}
	return s, nil
}

// decode answers the top dictionary. Binary lists are refused: their objects
// may refer to each other, which makes a small file a huge value.
func decode(data []byte) (map[string]any, error) {
	if len(data) > maxSpec {
		return nil, fmt.Errorf("property list larger than %d bytes", maxSpec)
	}
	if bytes.HasPrefix(data, []byte("bplist")) {
		return nil, errors.New("binary property list; convert it to XML")
	}
	var v any
	format, err := plist.Unmarshal(data, &v)
	if err != nil {
		return nil, err
	}
	top, ok := v.(map[string]any)
	if format != plist.XMLFormat || !ok {
		return nil, errors.New("not an XML property list holding a dictionary")
	}
	return top, nil
}

// complete checks what no single key can.
func (s *Spec) complete() error {
	switch {
	case s.Label == "":
		return atKey("Label", errors.New("missing"))
	case s.Program == "" && len(s.Arguments) == 0:
		return atKey("Program", errors.New("missing, and no ProgramArguments"))
	case s.Program == "":
		if s.Program = s.Arguments[0]; !filepath.IsAbs(s.Program) {
			return atKey("ProgramArguments", fmt.Errorf("%q is not an absolute path", s.Program))
		}
	case len(s.Arguments) == 0:
		s.Arguments = []string{s.Program}
	}
	for _, sock := range s.Sockets {
		if slices.Contains(s.MachServices, sock.Key) {
			return atKey("Sockets."+sock.Key, errors.New("also the name of a Mach service"))
		}
	}
	return nil
}

// mapped answers a copy in which every path, argument and variable that is the
// prefix or lies under it lies under root instead. Nothing else is touched.
func (s *Spec) mapped(prefix, root string) *Spec {
	if prefix == "" {
		return s
	}
	to := func(p string) string {
		if rest, ok := strings.CutPrefix(p, prefix); ok && (rest == "" || rest[0] == '/') {
			return root + rest
		}
		return p
	}
	c := *s
	c.Program = to(s.Program)
	c.Arguments = each(s.Arguments, to)
	c.WatchPaths = each(s.WatchPaths, to)
	c.StandardOutPath, c.StandardErrorPath, c.WorkingDirectory = to(s.StandardOutPath), to(s.StandardErrorPath), to(s.WorkingDirectory)
	c.Environment = map[string]string{}
	for k, v := range s.Environment {
		c.Environment[k] = to(v)
	}
	c.KeepAlive.PathState = map[string]bool{}
	for p, v := range s.KeepAlive.PathState {
		c.KeepAlive.PathState[to(p)] = v
	}
	return &c
}

func each(in []string, f func(string) string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = f(s)
	}
	return out
}
