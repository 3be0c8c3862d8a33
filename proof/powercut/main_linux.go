package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"portward/proof/medium"
	"portward/proof/subject"
)

// options are what the flags say.
type options struct {
	kinds    []medium.FS
	subjects []string // whose power is cut
	injured  []string // who is given errors, by the disk and by the kernel, and killed
	states   int
	limit    time.Duration
	seed     uint64
	sector   int
	workers  int
	controls bool
}

func main() {
	os.Exit(exitCode(os.Args[1:]))
}

func exitCode(args []string) int {
	if len(args) > 0 && args[0] == processWord {
		return told(process(args[1:]), 1)
	}
	o, err := parse(args)
	if err != nil {
		return told(err, 64)
	}
	dir, code, err := medium.Private()
	if err != nil || code >= 0 {
		return told(err, max(code, 0))
	}
	return told(run(dir, o), 1)
}

func told(err error, code int) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "powercut:", err)
	return code
}

func parse(args []string) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("powercut", flag.ContinueOnError)
	kinds := flags.String("fs", "ext4,xfs,btrfs", "file systems")
	subjects := flags.String("cut", strings.Join(subject.Engine, ","), "whose power is cut; \"\": nobody's")
	injured := flags.String("injure", subject.Update+","+subject.Revert, "who is killed and given errors at every call; \"\": nobody")
	flags.IntVar(&o.states, "states", 1600, "states that are listed for each of -cut on each of -fs, if there are so many")
	flags.DurationVar(&o.limit, "time", 10*time.Minute, "the longest for each line that is printed")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "of the random states and of the order")
	flags.IntVar(&o.sector, "sector", 512, "bytes that a disk writes whole or not at all")
	flags.IntVar(&o.workers, "workers", 8, "drives at the same time")
	flags.BoolVar(&o.controls, "controls", true, "show first that common patterns do not survive")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for _, name := range list(*kinds) {
		kind, err := medium.ByName(name)
		if err != nil {
			return o, err
		}
		o.kinds = append(o.kinds, kind)
	}
	o.subjects, o.injured = list(*subjects), list(*injured)
	return o, nil
}

func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}
