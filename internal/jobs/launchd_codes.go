package jobs

import (
	"fmt"
	"os"
	"strings"
)

// The codes of launchctl that this engine acts on. Below 107 they are errno's,
// as macOS numbers them.
const (
	codeSearch      = 3 // ESRCH: not running, or not known
	codeIO          = 5 // EIO: loaded already, still being torn down, or anything
	codeExists      = 17
	codeInProgress  = 36
	codeAlready     = 37
	codeNoDomain    = 112
	codeNoService   = 113
	codeUnsupported = 125 // by the domain: gui/UID without a login
)

// A meaning is what a code tells a caller, and what it tells people.
type meaning struct {
	code int
	text string
	err  error  // what a caller branches on; nil for none
	next string // what to do about it
}

func meanings() []meaning {
	const (
		root   = "run as root, or name a job of your own login"
		plist  = "check the file with `plutil -lint`"
		log    = "`log show --last 5m --predicate 'process == \"launchd\"'` says why"
		wait   = "try again in a few seconds"
		login  = "the user has to log in at the screen first; a login by ssh has no such domain"
		toggle = "switch the product on under System Settings > General > Login Items, or `sudo launchctl enable TARGET`"
	)
	return []meaning{
		{1, "not permitted", os.ErrPermission, root},
		{2, "no such file", os.ErrNotExist, ""},
		{codeSearch, "no such job", ErrNotLoaded, "load it first"},
		{codeIO, "launchd refused or is not ready", ErrBusy, wait + "; " + log},
		{13, "permission denied", os.ErrPermission, root},
		{codeExists, "loaded already", ErrAlreadyLoaded, ""},
		{codeInProgress, "in progress", ErrBusy, wait},
		{codeAlready, "already in progress", ErrBusy, wait},
		{107, "malformed bundle", ErrBadSpec, plist},
		{108, "invalid path", ErrBadSpec, plist},
		{109, "invalid property list", ErrBadSpec, plist},
		{110, "invalid or missing label", ErrBadSpec, plist},
		{111, "invalid or missing program", ErrBadSpec, "the program that the file names has to be there"},
		{codeNoDomain, "no such domain", ErrNoSession, login},
		{codeNoService, "no such job", ErrNotLoaded, "load it first; a job that macOS removed because it was switched off has to be switched on under System Settings > General > Login Items"},
		{114, "no such user", ErrBadSpec, "the account that UserName names has to be there"},
		{115, "no such group", ErrBadSpec, "the group that GroupName names has to be there"},
		{119, "the job is disabled", ErrDisabled, toggle},
		{122, "bad owner or mode of the file or of a directory above it", os.ErrPermission, "`sudo chown root:wheel FILE && sudo chmod 644 FILE`"},
		{124, "the session is ending", ErrNoSession, ""},
		{codeUnsupported, "the domain does not do this", ErrNoSession, login},
		{126, "launchctl no longer has this subcommand", nil, "this macOS is newer than this program: update it"},
		{133, "several errors", nil, log},
		{134, "not for this type of session", ErrSessionType, ""},
		{137, "not supported", ErrStart, log},
		{138, "not supported by this hardware", ErrStart, "the program was built for another processor"},
		{139, "cannot be started now", ErrStart, wait},
		{144, "an entitlement is missing", os.ErrPermission, ""},
		{149, "no such bundle", ErrBadSpec, ""},
		{150, "protected by System Integrity Protection", os.ErrPermission, "the label belongs to Apple; choose another"},
		{154, "only for programs of the system", os.ErrPermission, ""},
		{155, "the program is quarantined", ErrStart, "`sudo xattr -dr com.apple.quarantine` on the bundle, or install by the installer"},
	}
}

// codeError is a launchctl that ended with a code.
type codeError struct {
	meaning
	said string // the first line it printed
}

func (e *codeError) Error() string {
	s := fmt.Sprintf("launchctl exit %d: %s", e.code, e.text)
	if e.text == "" {
		s = fmt.Sprintf("launchctl exit %d: %q", e.code, e.said)
	}
	if e.next != "" {
		s += "\nhint: " + e.next
	}
	return s
}

// Unwrap answers what the code is. A job in a session that is not there is not
// loaded either.
func (e *codeError) Unwrap() []error {
	switch e.err {
	case nil:
		return nil
	case ErrNoSession:
		return []error{ErrNoSession, ErrNotLoaded}
	}
	return []error{e.err}
}

// refusal is the error of an answer whose code is not 0.
func refusal(a answer) error {
	said, _, _ := strings.Cut(strings.TrimSpace(a.stderr), "\n")
	e := &codeError{meaning: meaning{code: a.code}, said: said[:min(len(said), 200)]}
	for _, m := range meanings() {
		if m.code == a.code {
			e.meaning = m
		}
	}
	return e
}

// passing tells codes that may be gone the next time: launchd answers 5 for
// about five seconds after a bootout, and 37 or 36 while it is at it.
func passing(code int) bool {
	return code == codeIO || code == codeInProgress || code == codeAlready
}

// absent tells codes that mean: there is no such job.
func absent(code int) bool {
	return code == codeSearch || code == codeNoService || code == codeNoDomain || code == codeUnsupported
}
