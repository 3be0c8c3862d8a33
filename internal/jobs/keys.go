package jobs

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// key takes one key of the top dictionary into the Spec.
func (s *Spec) key(name string, v any) error {
	switch name {
	case "Label":
		return take(&s.Label, v, label)
	case "Program":
		return take(&s.Program, v, absolute)
	case "ProgramArguments":
		return take(&s.Arguments, v, nonEmpty(text))
	case "MachServices":
		return s.machServices(v)
	case "Sockets":
		return s.sockets(v)
	case "RunAtLoad":
		return take(&s.RunAtLoad, v, boolean)
	case "KeepAlive":
		return s.keepAlive(v)
	case "WatchPaths":
		return take(&s.WatchPaths, v, nonEmpty(absolute))
	case "ThrottleInterval":
		return take(&s.ThrottleInterval, v, seconds)
	case "ExitTimeOut":
		return take(&s.ExitTimeOut, v, seconds)
	case "LimitLoadToSessionType":
		return take(&s.SessionTypes, v, oneOrMore(sessionType))
	case "EnvironmentVariables":
		return s.environment(v)
	case "StandardOutPath":
		return take(&s.StandardOutPath, v, absolute)
	case "StandardErrorPath":
		return take(&s.StandardErrorPath, v, absolute)
	case "WorkingDirectory":
		return take(&s.WorkingDirectory, v, absolute)
	case "UserName":
		return take(&s.UserName, v, text)
	case "GroupName":
		return take(&s.GroupName, v, text)
	case "Umask":
		return s.umask(v)
	case "AbandonProcessGroup":
		return take(&s.AbandonProcessGroup, v, boolean)
	case "ProcessType":
		return take(&s.ProcessType, v, oneOf("Background", "Standard", "Adaptive", "Interactive"))
	case "LowPriorityIO":
		return take(&s.LowPriorityIO, v, boolean)
	case "AssociatedBundleIdentifiers":
		return take(&s.AssociatedBundleIDs, v, oneOrMore(text))
	case "Disabled":
		return errors.New("refused: a job is loaded or it is not")
	}
	return errUnknownKey
}

var errUnknownKey = errors.New("key is unknown or not supported")

func (s *Spec) machServices(v any) error {
	return dictionary(v, func(name string, v any) error {
		on, err := boolean(v)
		if err != nil {
			return fmt.Errorf("%w; the options of a service are not supported", err)
		}
		if !on {
			return errors.New("must be true")
		}
		if err := checkName(name); err != nil {
			return fmt.Errorf("service name: %w", err)
		}
		s.MachServices = append(s.MachServices, name)
		return nil
	})
}

func (s *Spec) sockets(v any) error {
	return dictionary(v, func(key string, v any) error {
		if err := checkName(key); err != nil {
			return fmt.Errorf("socket key: %w", err)
		}
		sock := Socket{Key: key}
		if err := dictionary(v, sock.key); err != nil {
			return err
		}
		if sock.ServiceName == "" {
			return atKey("SockServiceName", errors.New("missing"))
		}
		s.Sockets = append(s.Sockets, sock)
		return nil
	})
}

func (k *Socket) key(name string, v any) error {
	var ignored string
	switch name {
	case "SockNodeName":
		return take(&k.NodeName, v, text)
	case "SockServiceName":
		return take(&k.ServiceName, v, service)
	case "SockFamily":
		return take(&k.Family, v, oneOf("IPv4", "IPv6"))
	case "SockType":
		return take(&ignored, v, oneOf("stream"))
	case "SockProtocol":
		return take(&ignored, v, oneOf("TCP"))
	case "SockPassive":
		if on, err := boolean(v); err != nil || !on {
			return errors.New("must be true")
		}
		return nil
	}
	return errUnknownKey
}

func (s *Spec) keepAlive(v any) error {
	if on, ok := v.(bool); ok {
		s.KeepAlive.Always = on
		return nil
	}
	if err := dictionary(v, s.KeepAlive.key); err != nil {
		return err
	}
	if !s.KeepAlive.Any() {
		return errors.New("dictionary without a condition")
	}
	return nil
}

func (k *KeepAlive) key(name string, v any) error {
	switch name {
	case "SuccessfulExit":
		k.SuccessfulExit = new(bool)
		return take(k.SuccessfulExit, v, boolean)
	case "Crashed":
		k.Crashed = new(bool)
		return take(k.Crashed, v, boolean)
	case "PathState":
		k.PathState = map[string]bool{}
		return dictionary(v, func(path string, v any) error {
			path, err := absolute(path)
			if err != nil {
				return err
			}
			k.PathState[path], err = boolean(v)
			return err
		})
	}
	return errUnknownKey
}

func (s *Spec) environment(v any) error {
	s.Environment = map[string]string{}
	return dictionary(v, func(name string, v any) error {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return errors.New("not the name of a variable")
		}
		value, ok := v.(string)
		if !ok || strings.Contains(value, "\x00") {
			return errors.New("not a string without zero bytes")
		}
		s.Environment[name] = value
		return nil
	})
}

// umask takes a number, or a string as strtoul(3) reads it with base 0.
func (s *Spec) umask(v any) error {
	var n uint64
	switch v := v.(type) {
	case uint64:
		n = v
	case string:
		var err error
		if n, err = strconv.ParseUint(v, 0, 16); err != nil {
			return fmt.Errorf("%q is not a number", v)
		}
	default:
		return errors.New("neither an integer nor a string")
	}
	if n > 0o777 {
		return fmt.Errorf("%#o is more than 0777", n)
	}
	mask := int(n)
	s.Umask = &mask
	return nil
}

// walk hands every key to f, in order, and names the one that f refuses.
func walk(m map[string]any, prefix string, f func(string, any) error) error {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if err := f(k, m[k]); err != nil {
			return atKey(prefix+k, err)
		}
	}
	return nil
}

func dictionary(v any, f func(string, any) error) error {
	m, ok := v.(map[string]any)
	if !ok {
		return errors.New("not a dictionary")
	}
	return walk(m, "", f)
}

// atKey puts a key before the keys an error names already.
func atKey(key string, err error) error {
	if in, ok := err.(*SpecError); ok {
		return &SpecError{Key: key + "." + in.Key, Err: in.Err}
	}
	return &SpecError{Key: key, Err: err}
}

func inFile(name string, err error) error {
	if in, ok := err.(*SpecError); ok {
		return &SpecError{File: name, Key: in.Key, Err: in.Err}
	}
	return &SpecError{File: name, Err: err}
}

func take[T any](dst *T, v any, f func(any) (T, error)) (err error) {
	*dst, err = f(v)
	return err
}

func text(v any) (string, error) {
	s, ok := v.(string)
	if !ok || s == "" || strings.Contains(s, "\x00") {
		return "", errors.New("not a string, or empty")
	}
	return s, nil
}

func label(v any) (string, error) {
	s, err := text(v)
	if err == nil && checkName(s) != nil {
		err = fmt.Errorf("%q cannot be a label", s)
	}
	return s, err
}

func absolute(v any) (string, error) {
	s, err := text(v)
	if err == nil && !filepath.IsAbs(s) {
		err = fmt.Errorf("%q is not an absolute path", s)
	}
	return s, err
}

func boolean(v any) (bool, error) {
	b, ok := v.(bool)
	if !ok {
		return false, errors.New("not a boolean")
	}
	return b, nil
}

func seconds(v any) (time.Duration, error) {
	n, ok := v.(uint64)
	if !ok || n > uint64(1<<31) {
		return 0, errors.New("not a number of seconds")
	}
	return time.Duration(n) * time.Second, nil
}

func service(v any) (string, error) {
	if n, ok := v.(uint64); ok && n <= 65535 {
		return strconv.FormatUint(n, 10), nil
	}
	return text(v)
}

func sessionType(v any) (SessionType, error) {
	s, err := oneOf(string(Aqua), string(LoginWindow), string(Background), string(StandardIO))(v)
	return SessionType(s), err
}

func oneOf(allowed ...string) func(any) (string, error) {
	return func(v any) (string, error) {
		if s, ok := v.(string); ok && slices.Contains(allowed, s) {
			return s, nil
		}
		return "", fmt.Errorf("not one of %s", strings.Join(allowed, ", "))
	}
}

func nonEmpty[T any](f func(any) (T, error)) func(any) ([]T, error) {
	return func(v any) ([]T, error) {
		in, ok := v.([]any)
		if !ok || len(in) == 0 {
			return nil, errors.New("not an array, or empty")
		}
		out := make([]T, len(in))
		for i, v := range in {
			var err error
			if out[i], err = f(v); err != nil {
				return nil, fmt.Errorf("item %d: %w", i, err)
			}
		}
		return out, nil
	}
}

func oneOrMore[T any](f func(any) (T, error)) func(any) ([]T, error) {
	return func(v any) ([]T, error) {
		if _, many := v.([]any); many {
			return nonEmpty(f)(v)
		}
		one, err := f(v)
		return []T{one}, err
	}
}
