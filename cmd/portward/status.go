package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/term"

	"portward/internal/program"
)

const statusUsage = `usage: portward status [--json|--watch] [--root DIR]

Shows the jobs and the logins of the running up.

  --json      as one JSON document: {version, time, root, viewer, jobs: [{label,
              state, life, pid, uptime_s, restarts, verdict}], sessions: [{id,
              frames, fps, gaps, last_gap_ms, broken}], held, payload}
  --watch     again and again, until Ctrl-C
  --root DIR  where the running up is
`

func showStatus(args []string) (int, error) {
	fs := newFlags("status", statusUsage)
	asJSON := fs.Bool("json", false, "")
	watch := fs.Bool("watch", false, "")
	if err := parse(fs, args, statusUsage); err != nil {
		return program.ExitUsage, err
	}
	if fs.NArg() > 0 || *asJSON && *watch {
		return program.ExitUsage, errors.New("status takes --json or --watch and no argument\nhint: portward status --help")
	}
	root, err := resolveRoot(fs.Lookup("root").Value.String())
	if err != nil {
		return program.ExitUsage, err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	show := newScreen(false, term.IsTerminal(int(os.Stdout.Fd())))
	for {
		resp, err := ask(root, request{Op: "snapshot"})
		if err != nil {
			return program.ExitAgain, err
		}
		switch {
		case *asJSON:
			e := json.NewEncoder(os.Stdout)
			e.SetIndent("", "  ")
			return program.ExitOK, e.Encode(resp.Snapshot)
		case show.live && *watch:
			show.draw(table(resp.Snapshot))
		default:
			fmt.Print(table(resp.Snapshot))
		}
		if !*watch {
			return program.ExitOK, nil
		}
		select {
		case <-ctx.Done():
			return program.ExitOK, nil
		case <-time.After(time.Second):
		}
	}
}
