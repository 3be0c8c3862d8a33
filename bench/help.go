package main

import (
	"fmt"
	"strings"
	"time"
)

// limit is that of a run that asks for no other.
const limit = 19 * time.Minute

const helpText = `bench measures Portward beside C, Debian's supervisors and other IPC, and judges its goals.

  cd bench && go run . [flags]

  -only REGEX      run the groups whose names match (^idle$ is one group)
  -quick           a third of the rounds, to see that it works; judges no goal
  -out DIR         write README.md, summary.md, results.json and pictures into DIR;
                   the project's own are in ../docs/benchmarks
  -limit %-9v of the whole run, installing included: no round begins later, and a
                   goal that was left out counts as missed; 0 is no limit
  -install=false   install nothing

All groups take some nine minutes on a quiet machine with 2 CPUs, and a third of
that with -quick but for two minutes of idle.

Groups:
%s

As root it installs by apt-get what is missing of the Debian packages that the
chosen groups compare with, and starts none of their services:
%s
It says before which are. What is not installed is shown as absent.

Exit codes: 0 every goal is met; 1 a goal was missed or not run, or a case failed (with
-quick: a case failed, or a group was not run); 64 usage; 75 it could not run or was
ended, try again. go run makes 1 of all but 0; go build -o FILE . keeps them.
`

func help() string {
	var packages strings.Builder
	for _, r := range rooms() {
		fmt.Fprintf(&packages, "  %-12s %s\n", r.name, strings.Join(r.packages, " "))
	}
	short := strings.TrimSuffix(limit.String(), "0s") // 19m
	return fmt.Sprintf(helpText, short, listed(), packages.String())
}
