package jobs

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// order is one life to be begun: what the loop hands to the starter.
type order struct {
	target  Target
	life    uint64
	spec    *Spec
	session *Session   // nil in the system domain
	held    []listener // the job's, open until it is unloaded
}

// begin makes the start that o asks for. It runs on the starter's thread.
func (e *Embedded) begin(o order) (process, error) {
	extra, err := e.extra(o)
	defer closeAll(extra)
	if err != nil {
		return nil, err
	}
	l, err := e.prepare(o, extra)
	if err != nil {
		return nil, err
	}
	defer closeAll(l.own)
	return e.host.start(&l.launch)
}

func (e *Embedded) extra(o order) ([]NamedFile, error) {
	if e.opts.Descriptors == nil {
		return nil, nil
	}
	files, err := e.opts.Descriptors(o.target, o.life)
	if err != nil {
		return files, fmt.Errorf("descriptors: %w", err)
	}
	for _, f := range files {
		if err := checkName(f.Name); err != nil || f.File == nil {
			return files, fmt.Errorf("descriptor %q: %w", f.Name, ErrMalformed)
		}
	}
	return files, nil
}

// prepared is a launch with the files that were opened for it alone.
type prepared struct {
	launch
	own []NamedFile
}

func (e *Embedded) prepare(o order, extra []NamedFile) (*prepared, error) {
	user, err := e.account(o)
	if err != nil {
		return nil, err
	}
	own, err := e.standardFiles(o, user)
	if err != nil {
		return nil, err
	}
	inherited := make([]NamedFile, 0, len(o.held)+len(extra)+1)
	for _, h := range o.held {
		inherited = append(inherited, NamedFile{h.name, h.file})
	}
	inherited = append(append(inherited, extra...), NamedFile{Lifeline, e.lifeline})
	p := &prepared{own: own, launch: launch{
		program: o.spec.Program,
		argv:    o.spec.Arguments,
		env:     e.environment(o, inherited),
		dir:     o.spec.WorkingDirectory,
		user:    user,
		umask:   o.spec.Umask,
		abandon: o.spec.AbandonProcessGroup,
	}}
	if p.dir == "" {
		p.dir = "/"
	}
	for _, f := range append(own, inherited...) {
		p.files = append(p.files, f.File)
	}
	return p, nil
}

// account decides whom the job runs as: nil is the engine itself, which is all
// that an ordinary user can do.
func (e *Embedded) account(o order) (*account, error) {
	switch {
	case !e.root:
		return nil, nil
	case o.session != nil: // launchd.plist(5): UserName is for the system domain
		return &account{o.session.UID, o.session.GID}, nil
	case o.spec.UserName == "" && o.spec.GroupName == "":
		return nil, nil
	}
	who := &account{}
	if name := o.spec.UserName; name != "" {
		uid, gid, ok := e.user(name)
		if !ok {
			return nil, fmt.Errorf("UserName %q: no such user", name)
		}
		who = &account{uid, gid}
	}
	if name := o.spec.GroupName; name != "" {
		_, gid, ok := e.user(name)
		if !ok {
			return nil, fmt.Errorf("GroupName %q: no such group", name)
		}
		who.gid = gid
	}
	return who, nil
}

func (e *Embedded) user(name string) (uid, gid uint32, ok bool) {
	if e.opts.Users == nil {
		return 0, 0, false
	}
	return e.opts.Users(name)
}

// environment joins, later ones winning: the engine's base, the session's, the
// plist's, and what the engine itself has to say.
func (e *Embedded) environment(o order, inherited []NamedFile) []string {
	env := map[string]string{}
	add := func(list []string) {
		for _, kv := range list {
			if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
				env[k] = v
			}
		}
	}
	add(e.opts.Environ)
	if o.session != nil {
		add(o.session.Env)
	}
	maps.Copy(env, o.spec.Environment)
	for _, k := range []string{"LISTEN_PID", SessionVariable} {
		delete(env, k)
	}
	names := make([]string, len(inherited))
	for i, f := range inherited {
		names[i] = f.Name
	}
	env["LISTEN_FDS"], env["LISTEN_FDNAMES"] = strconv.Itoa(len(names)), strings.Join(names, ":")
	env[LifeVariable], env[TargetVariable] = strconv.FormatUint(o.life, 10), string(o.target)
	if o.session != nil {
		env[SessionVariable] = o.session.ID
	}
	var out []string
	for _, k := range slices.Sorted(maps.Keys(env)) {
		out = append(out, k+"="+env[k])
	}
	return out
}

// standardFiles opens what becomes descriptors 0, 1 and 2.
func (e *Embedded) standardFiles(o order, user *account) ([]NamedFile, error) {
	s, errorPath := o.spec, o.spec.StandardErrorPath
	if errorPath == "" && e.opts.ErrorPath != nil {
		errorPath = e.opts.ErrorPath(o.target)
	}
	in, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	own := []NamedFile{{File: in}}
	for _, to := range []struct{ key, path string }{
		{"StandardOutPath", s.StandardOutPath}, {"StandardErrorPath", errorPath},
	} {
		f, err := openOutput(to.path, s.Umask, user)
		if err != nil {
			closeAll(own)
			return nil, fmt.Errorf("%s: %w", to.key, err)
		}
		own = append(own, NamedFile{File: f})
	}
	return own, nil
}

// openOutput opens path for appending and creates it, owned by user, if it is
// not there. The directory may be the user's, so a link is not followed and
// what is neither a file nor a device (a pipe would block) is refused.
func openOutput(path string, umask *int, user *account) (*os.File, error) {
	if path == "" {
		path = os.DevNull
	}
	mode := os.FileMode(0o666)
	if umask != nil {
		mode &^= os.FileMode(*umask)
	}
	const flags = os.O_WRONLY | os.O_APPEND | syscall.O_NOFOLLOW | syscall.O_NONBLOCK | syscall.O_NOCTTY
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_EXCL, mode)
	if err == nil {
		if user != nil {
			err = f.Chown(int(user.uid), int(user.gid))
		}
	} else if errors.Is(err, os.ErrExist) {
		if f, err = os.OpenFile(path, flags, 0); err == nil {
			err = checkOutput(f)
		}
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	return f, nil
}

func checkOutput(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if m := info.Mode(); !m.IsRegular() && m&os.ModeCharDevice == 0 {
		return fmt.Errorf("%s: neither a file nor a device", f.Name())
	}
	fd, err := descriptor(f)
	if err != nil {
		return err
	}
	return syscall.SetNonblock(fd, false)
}

// descriptor answers f's number without touching its flags, as Fd would.
func descriptor(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	n := -1
	err = raw.Control(func(fd uintptr) { n = int(fd) })
	return n, err
}

func closeAll(files []NamedFile) {
	for _, f := range files {
		if f.File != nil {
			f.File.Close()
		}
	}
}
