package jobs

import (
	"fmt"
	"strings"
)

// A Domain is where a job is loaded, spelled as launchctl(1) does: "system",
// "gui/ID" for one login session, or "gui" alone for every session, present
// and future, which is what a file in /Library/LaunchAgents means.
type Domain string

// The domains that need no session to exist.
const (
	System Domain = "system"
	GUI    Domain = "gui"
)

// SessionDomain is the domain of the login session id.
func SessionDomain(id string) Domain { return GUI + "/" + Domain(id) }

// Session answers the session's id, or "" when the domain is not one session's.
func (d Domain) Session() string {
	id, _ := strings.CutPrefix(string(d), "gui/")
	if id == string(d) {
		return ""
	}
	return id
}

// Check refuses what is not a domain.
func (d Domain) Check() error {
	if d == System || d == GUI {
		return nil
	}
	if err := checkName(d.Session()); err != nil {
		return fmt.Errorf("domain %q: %w", string(d), ErrMalformed)
	}
	return nil
}

// A Target is one job: its domain, a slash, its label.
type Target string

// MakeTarget names the job label in domain d.
func MakeTarget(d Domain, label string) Target { return Target(string(d) + "/" + label) }

// Domain is what stands before the label.
func (t Target) Domain() Domain {
	i := strings.LastIndexByte(string(t), '/')
	if i < 0 {
		return ""
	}
	return Domain(t[:i])
}

// Label is the job's own name.
func (t Target) Label() string { return string(t[strings.LastIndexByte(string(t), '/')+1:]) }

// Session is the id of the login session the job belongs to, "" for none.
func (t Target) Session() string { return t.Domain().Session() }

// Check refuses what is not a target.
func (t Target) Check() error {
	if t.Domain().Check() != nil || checkName(t.Label()) != nil {
		return fmt.Errorf("target %q: %w", string(t), ErrMalformed)
	}
	return nil
}

// checkName accepts what can be a label, a session id or a descriptor's name:
// printable ASCII without a space, a slash or the colon that joins
// LISTEN_FDNAMES, and not "." or "..", because it becomes a file name.
func checkName(s string) error {
	if s == "" || len(s) > 200 || s == "." || s == ".." {
		return ErrMalformed
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '/' || c == ':' {
			return ErrMalformed
		}
	}
	return nil
}
