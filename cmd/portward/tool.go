package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// exitData is for bundles and repositories that are not what they should be,
// sysexits(3) EX_DATAERR.
const exitData = 65

// toolFlags is newFlags for verbs that no running product has to do with.
func toolFlags(verb string) *flag.FlagSet {
	fs := flag.NewFlagSet(verb, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// parseMixed is parse for flags that may stand before, between and after the
// arguments, which it answers.
func parseMixed(fs *flag.FlagSet, args []string, text string) ([]string, error) {
	var rest []string
	for {
		if err := parse(fs, args, text); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

// durationVar is fs.DurationVar, whose error does not say what it wants.
func durationVar(fs *flag.FlagSet, to *time.Duration, name string, value time.Duration) {
	*to = value
	fs.Func(name, "", func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil {
			return errors.New("want a duration such as 20s or 5m")
		}
		*to = d
		return nil
	})
}

// sayProgress is for people who wait.
func sayProgress(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// megabytes is a size for people.
func megabytes(n int64) string {
	if n < 100_000 {
		return fmt.Sprintf("%.1f kB", float64(n)/1000)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
