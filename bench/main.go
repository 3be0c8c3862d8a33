// Command bench knows which groups there are and how one run of them is shown. It
// must never know how anything is measured. `go run . -h` says how it is used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"portward/bench/harness"
)

// The exit codes.
const (
	exitMet    = 0
	exitMissed = 1
	exitUsage  = 64
	exitAgain  = 75
)

// A request is what the command line says.
type request struct {
	groups   []string // names of those that are chosen
	packages []string // that they need
	quick    bool
	out      string // directory for the report; "" for none
	limit    time.Duration
	install  bool
	command  string // how this run was asked for, from the repository's root
}

func main() { os.Exit(bench(os.Args[1:], os.Stdout, os.Stderr)) }

// bench answers the exit code.
func bench(args []string, stdout, stderr io.Writer) int {
	q, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, help())
		return exitMet
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := q.run(ctx, func(format string, args ...any) { fmt.Fprintf(stdout, format, args...) })
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "bench:", err)
		return exitAgain
	case report.Missed() || len(report.Failures()) > 0:
		return exitMissed
	default:
		return exitMet
	}
}

func parse(args []string) (request, error) {
	q := request{command: command(args)}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	only := flags.String("only", "", "")
	flags.BoolVar(&q.quick, "quick", false, "")
	flags.StringVar(&q.out, "out", "", "")
	flags.DurationVar(&q.limit, "limit", limit, "")
	flags.BoolVar(&q.install, "install", true, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return q, err
	case err != nil:
		return q, fmt.Errorf("%w\nhint: -h lists the flags", err)
	case flags.NArg() > 0:
		return q, fmt.Errorf("no argument %q\nhint: -only REGEX chooses of these groups:\n%s", flags.Arg(0), listed())
	case q.limit < 0:
		return q, fmt.Errorf("-limit %v: less than nothing\nhint: 0 is no limit", q.limit)
	}
	q.groups, q.packages, err = choose(*only)
	return q, err
}

// run measures, shows and writes. What was measured before a signal is shown and
// written too.
func (q request) run(ctx context.Context, print func(string, ...any)) (harness.Report, error) {
	began := time.Now()
	env, err := harness.NewEnv(print)
	if err != nil {
		return harness.Report{}, err
	}
	defer env.Close()
	load := harness.LoadNow()
	sayLoad(load, print)
	if err := harness.Install(ctx, q.packages, q.install, print); err != nil {
		return harness.Report{}, fmt.Errorf("installing peers: %w", err)
	}
	report := harness.Report{Machine: harness.ThisMachine(env.Root, q.command, load), Quick: q.quick}
	report.Results, err = harness.Run(ctx, named(q.groups, env), q.options(began, print))
	report.Seconds = time.Since(began).Seconds()
	if q.out != "" && len(report.Results) > 0 {
		if err := report.Write(q.out, filepath.Join(env.Root, "bench", "missed")); err != nil {
			return report, fmt.Errorf("writing %s: %w", q.out, err)
		}
	}
	print("%s", report.Summary())
	return report, err
}

func (q request) options(began time.Time, print func(string, ...any)) harness.Options {
	o := harness.Options{Quick: q.quick, Print: print}
	if q.limit > 0 {
		o.End = began.Add(q.limit)
	}
	return o
}

// sayLoad warns before minutes are spent on figures of a busy machine.
func sayLoad(load harness.Load, print func(string, ...any)) {
	if load != "" {
		print("load average %s\n", load)
	}
	if busy := load.Busy(); busy != "" {
		print("warning: it is %s\n", busy)
	}
}

// command is what a shell would be told to run this again.
func command(args []string) string {
	words := []string{"cd bench && go run ."}
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n\"'`$&|;<>()*?[]#~!{}\\") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		words = append(words, a)
	}
	return strings.Join(words, " ")
}
