package jobs

import (
	"strconv"
	"strings"
	"syscall"
)

// listing is what `launchctl list LABEL` says that we use. launchctl(1) calls
// the output of the old subcommands stable and that of the new ones no API, so
// these two keys are all that is read of a text; see parseRuns for one number more,
// on which the numbers of lives depend, and that no life is missed.
type listing struct {
	pid  int   // 0: not running, or not said
	last *Exit // nil: nothing has ended badly, or not said
}

// parseListing reads lines of the form `"Key" = NUMBER;`. What it does not know
// it skips, nested lists too, whose keys stand deeper than one tab.
func parseListing(text string) (l listing) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "\t\"")
		key, value, found := strings.Cut(rest, "\" = ")
		if !ok || !found {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), ";"), 10, 32)
		switch {
		case err != nil:
		case key == "PID" && n > 0:
			l.pid = int(n)
		case key == "LastExitStatus" && n > 0:
			l.last = exitOf(syscall.WaitStatus(n))
		}
	}
	return l
}

// parseRuns reads how often a job was started since its load, from a line of
// `launchctl print` that was seen as `	runs = N`; -1 where there is none such.
func parseRuns(text string) int {
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(line, "\truns = ")
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 32); err == nil && n >= 0 {
			return int(n)
		}
	}
	return -1
}

// exitOf reads a raw wait status. Zero is no answer at all: launchd says it too
// of a job that has never ended.
func exitOf(w syscall.WaitStatus) *Exit {
	if w.Exited() {
		return &Exit{Code: w.ExitStatus()}
	}
	if w.Signaled() {
		return &Exit{Signal: int(w.Signal())}
	}
	return nil
}

// configExit is EX_CONFIG of sysexits(3): the last exit code that launchd shows
// of a job whose program is missing.
const configExit = 78

// parsePID reads what `launchctl kickstart -p` prints: a number, or a sentence
// that ends with one.
func parsePID(text string) int {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseInt(fields[len(fields)-1], 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}
