package jobs

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

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

func atLeastOne[T cmp.Ordered](f func(any) (T, error)) func(any) (T, error) {
	return func(v any) (T, error) {
		var zero T
		n, err := f(v)
		if err == nil && n <= zero {
			err = errors.New("must be more than 0")
		}
		return n, err
	}
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
