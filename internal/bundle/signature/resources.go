package signature

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	maxRules   = 64
	maxPattern = 512
	maxSealed  = 65536
	maxName    = 1024
)

// resources is a CodeResources file: its second, newer list, and the rules by
// which that was made. The first one nobody reads any more.
type resources struct {
	files map[string]sealed
	rules []rule
}

// A sealed entry is one of three: a file's hash, a link's target, or the
// requirement that nested code satisfies.
type sealed struct {
	hash        []byte // SHA-256
	link        string
	requirement string
	cdHash      []byte // of nested code, for one processor
	optional    bool
}

// A rule says what is to be done with files whose path, from Contents, matches.
type rule struct {
	pattern *regexp.Regexp
	weight  float64
	omit    bool
	nested  bool
}

// weak answers a rule by which files are left out that Apple's own rules do not
// leave out, as a Mac that looks strictly does not bear; empty: there is none.
func (r *resources) weak() string {
	for _, rule := range r.rules {
		if pattern := rule.pattern.String(); rule.omit && !mayOmit(pattern) {
			return pattern
		}
	}
	return ""
}

func parseResources(data []byte) (*resources, error) {
	top, err := parsePlist(data)
	if err != nil {
		return nil, err
	}
	rules, isRules := top["rules2"].(map[string]any)
	files, isFiles := top["files2"].(map[string]any)
	if !isRules || !isFiles {
		return nil, errors.New("no dictionaries rules2 and files2")
	}
	r := &resources{files: map[string]sealed{}}
	if r.rules, err = parseRules(rules); err != nil {
		return nil, fmt.Errorf("rules2: %w", err)
	}
	if len(files) > maxSealed {
		return nil, fmt.Errorf("files2: more than %d", maxSealed)
	}
	folded := map[string]bool{}
	for name, v := range files {
		if err := checkName(name); err != nil {
			return nil, fmt.Errorf("files2: %q: %w", name, err)
		}
		if r.files[name], err = parseSealed(v); err != nil {
			return nil, fmt.Errorf("files2: %q: %w", name, err)
		}
		if fold := strings.ToLower(name); folded[fold] {
			return nil, fmt.Errorf("files2: %q: there twice but for its case", name)
		} else {
			folded[fold] = true
		}
	}
	return r, nil
}

// checkName: inside of Contents, and in one spelling.
func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." || len(name) > maxName || strings.ContainsAny(name, "\\\x00") {
		return errors.New("not a clean path inside the bundle")
	}
	return nil
}

func parseSealed(v any) (sealed, error) {
	dict, ok := v.(map[string]any)
	if !ok {
		return sealed{}, errors.New("not a dictionary")
	}
	var s sealed
	for key, v := range dict {
		fits := false
		switch key {
		case "hash2":
			s.hash, fits = v.([]byte)
			fits = fits && len(s.hash) == 32
		case "hash": // SHA-1, of no use
			_, fits = v.([]byte)
		case "symlink":
			s.link, fits = v.(string)
		case "requirement":
			s.requirement, fits = v.(string)
		case "cdhash":
			s.cdHash, fits = v.([]byte)
			fits = fits && len(s.cdHash) == cdHashSize
		case "optional":
			s.optional, fits = v.(bool)
		}
		if !fits {
			return sealed{}, fmt.Errorf("%s: unknown, or of the wrong kind", key)
		}
	}
	kinds := 0
	for _, is := range []bool{s.hash != nil, s.link != "", s.requirement != ""} {
		if is {
			kinds++
		}
	}
	if kinds != 1 || s.cdHash != nil && s.requirement == "" {
		return sealed{}, errors.New("not one of a hash, a link and a requirement")
	}
	return s, nil
}

// mayOmit lists the rules that leave files out without weakening the seal, as a
// Mac sees it.
func mayOmit(pattern string) bool {
	return slices.Contains([]string{
		`^(.*/)?\.DS_Store$`, `^Info\.plist$`, `^PkgInfo$`, `^Resources/.*\.lproj/locversion.plist$`,
	}, pattern)
}

func parseRules(dict map[string]any) ([]rule, error) {
	if len(dict) > maxRules {
		return nil, fmt.Errorf("more than %d", maxRules)
	}
	if all, _ := dict["^.*"].(bool); !all {
		return nil, errors.New(`no "^.*": files could be left out`)
	}
	var rules []rule
	for pattern, v := range dict {
		r, err := parseRule(pattern, v)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", pattern, err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parseRule(pattern string, v any) (rule, error) {
	if len(pattern) > maxPattern {
		return rule{}, errors.New("too long")
	}
	re, err := regexp.CompilePOSIX(pattern)
	if err != nil {
		return rule{}, err
	}
	r := rule{pattern: re, weight: 1}
	switch v := v.(type) {
	case bool:
		r.omit = !v
	case map[string]any:
		if err := r.set(v); err != nil {
			return rule{}, err
		}
	default:
		return rule{}, errors.New("neither a truth nor a dictionary")
	}
	return r, nil
}

func (r *rule) set(dict map[string]any) error {
	for key, v := range dict {
		fits := false
		switch key {
		case "omit":
			r.omit, fits = v.(bool)
		case "nested":
			r.nested, fits = v.(bool)
		case "optional":
			_, fits = v.(bool)
		case "weight":
			r.weight, fits = number(v)
		}
		if !fits {
			return fmt.Errorf("%s: unknown, or of the wrong kind", key)
		}
	}
	return nil
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case uint64:
		return float64(v), true
	case float64:
		return v, v >= 0
	}
	return 0, false
}

// ruleFor answers the heaviest rule that matches. Two of one weight that disagree
// are an error: Apple's order of them is nobody's promise.
func (r *resources) ruleFor(name string) (rule, error) {
	best := rule{weight: -1}
	clash := false
	for _, c := range r.rules {
		if c.weight < best.weight || !c.pattern.MatchString(name) {
			continue
		}
		if c.weight > best.weight {
			best, clash = c, false
		} else if c.omit != best.omit || c.nested != best.nested {
			clash = true
		}
	}
	if clash {
		return rule{}, errors.New("two rules of one weight")
	}
	return best, nil
}

// inside answers where a link at name leads, if that is inside of Contents.
func inside(name, target string) (string, error) {
	to := path.Join(path.Dir(name), target)
	if path.IsAbs(target) || !fs.ValidPath(to) || to == "." || strings.Contains(target, "\\") {
		return "", fmt.Errorf("a link to %q, out of the bundle", target)
	}
	return to, nil
}
