package main

import (
	"cmp"
	"errors"
	"fmt"

	"portward/internal/fault"
	"portward/internal/program"
)

const pokeUsage = `usage: portward poke JOB --crash|--deadlock|--livelock|--stop [--always]
       portward poke JOB --disarm|--start

Makes a process of the running up fail. JOB is netchild, guiagent/SESSION or
supervisor; the supervisor takes --crash and --stop.

  --crash      it panics
  --deadlock   its own loop waits for ever
  --livelock   its own loop spins for ever
  --stop       it stops itself (SIGSTOP)
  --always     every later life fails the same way, until --disarm
  --disarm     later lives live
  --start      start the job now if it does not run
  --root DIR   where the running up is
`

func poke(args []string) (int, error) {
	fs := newFlags("poke", pokeUsage)
	always := fs.Bool("always", false, "")
	picked := map[string]*bool{}
	for _, name := range []string{"crash", "deadlock", "livelock", "stop", "disarm", "start"} {
		picked[name] = fs.Bool(name, false, "")
	}
	// The job may stand before, between or after the flags.
	job := ""
	for {
		if err := parse(fs, args, pokeUsage); err != nil {
			return program.ExitUsage, err
		}
		if fs.NArg() == 0 {
			break
		}
		if job != "" {
			return program.ExitUsage, fmt.Errorf("one job, not %q too\nhint: portward poke --help", fs.Arg(0))
		}
		job, args = fs.Arg(0), fs.Args()[1:]
	}
	if job == "" {
		return program.ExitUsage, errors.New("which job?\nhint: portward poke --help")
	}
	req, err := pokeRequest(job, picked, *always)
	if err != nil {
		return program.ExitUsage, err
	}
	root, err := resolveRoot(fs.Lookup("root").Value.String())
	if err != nil {
		return program.ExitUsage, err
	}
	if _, err := ask(root, req); err != nil {
		return program.ExitAgain, err
	}
	fmt.Printf("%s: %s\n", job, cmp.Or(req.Fault, req.Op))
	return program.ExitOK, nil
}

func pokeRequest(job string, picked map[string]*bool, always bool) (request, error) {
	if _, err := target(job); err != nil {
		return request{}, err
	}
	what := ""
	for name, on := range picked {
		if !*on {
			continue
		}
		if what != "" {
			return request{}, fmt.Errorf("one of --%s and --%s, not both", what, name)
		}
		what = name
	}
	switch what {
	case "":
		return request{}, errors.New("which fault?\nhint: portward poke --help")
	case "disarm":
		return request{Op: "disarm", Job: job}, nil
	case "start":
		return request{Op: "kickstart", Job: job}, nil
	}
	if f, _ := fault.Parse(what); job == "supervisor" && f != fault.Crash && f != fault.Stop {
		return request{}, fmt.Errorf("the supervisor takes --crash and --stop, not --%s", what)
	}
	return request{Op: "poke", Job: job, Fault: what, Always: always}, nil
}
