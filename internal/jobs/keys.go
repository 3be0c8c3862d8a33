package jobs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	case "StartInterval":
		return take(&s.StartInterval, v, atLeastOne(seconds))
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
