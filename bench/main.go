// Command bench knows which groups there are and how one run of them is shown. It
// must never know how anything is measured.
//
//	cd bench && go run . [-only REGEX] [-quick] [-out ../docs/benchmarks] [-limit 19m]
//
// It installs what it compares with from Debian where it runs as root, without
// starting any service, and needs nothing else to be running. What cannot run on a
// machine is shown as absent. The exit code is 1 when a goal was missed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"portward/bench/frames"
	"portward/bench/harness"
	"portward/bench/ipc"
	"portward/bench/supervise"
)

// peers are Debian's packages that the groups compare with or need.
func peers() []string {
	return []string{
		"runit", "s6", "daemontools", "systemd", "supervisor", "monit", "dbus",
		"gcc", "libc6-dev", "xvfb", "chromium", "x11-apps",
	}
}

func groups(env harness.Env) []harness.Group {
	return slices.Concat(supervise.Groups(env), ipc.Groups(env), frames.Groups(env))
}

func main() {
	var o harness.Options
	flag.StringVar(&o.Only, "only", "", "run the groups whose names match this regular expression")
	flag.BoolVar(&o.Quick, "quick", false, "a third of the rounds: to see that it works")
	flag.StringVar(&o.Out, "out", "", "write results.json, plots and README.md into this directory")
	flag.DurationVar(&o.Limit, "limit", 19*time.Minute, "begin no round after so long")
	flag.Parse()
	o.Print = func(format string, args ...any) { fmt.Printf(format, args...) }
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "bench: no argument %q\nhint: -only REGEX chooses groups\n", flag.Arg(0))
		os.Exit(64)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	report, err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(75)
	}
	if report.Missed() {
		os.Exit(1)
	}
}

// run measures, shows and writes. What was measured before a signal is shown and
// written too.
func run(ctx context.Context, o harness.Options) (harness.Report, error) {
	began := time.Now()
	env, err := harness.NewEnv(o.Print)
	if err != nil {
		return harness.Report{}, err
	}
	defer env.Close()
	if err := harness.Install(ctx, peers(), o.Print); err != nil {
		return harness.Report{}, fmt.Errorf("installing peers: %w", err)
	}
	report := harness.Report{Machine: harness.ThisMachine(env.Root, command())}
	report.Results, err = harness.Run(ctx, groups(env), o)
	report.Seconds = time.Since(began).Seconds()
	if o.Out != "" && len(report.Results) > 0 {
		if err := report.Write(o.Out); err != nil {
			return report, fmt.Errorf("writing %s: %w", o.Out, err)
		}
	}
	o.Print("%s", report.Summary())
	return report, err
}

// command is how this run was asked for, from the repository's root.
func command() string {
	return strings.TrimSpace("cd bench && go run . " + strings.Join(os.Args[1:], " "))
}
