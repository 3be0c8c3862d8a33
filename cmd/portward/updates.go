package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"portward/internal/config"
	"portward/internal/program"
	requests "portward/internal/request"
	"portward/internal/status"
)

const updateUsage = `usage: portward update [--check|--now] [--wait] [--root DIR]

Asks the supervisor to look for a release and to take it, and shows how far it
is until the release is in place, on trial. It may be refused: for a share of the machines
that this one does not belong to, for a session that is on, or because the
release failed here before.

  --check     only look
  --now       take it now: whatever the share, and sessions are interrupted
  --wait      until its trial is over, after one that is on: exits 0 if it passed
  --root DIR  where the product is
`

const rollbackUsage = `usage: portward rollback [--root DIR]

Asks the supervisor to put the retained bundle back in place. The present one
is then on the deny list: portward unblock lets it be tried again.
`

const unblockUsage = `usage: portward unblock HASH|VERSION [--root DIR]

Takes a release off the supervisor's deny list: it is tried again at the next
check, which comes at once. portward status shows the list.
`

// answerWithin is how long a request may take whose answer needs no download.
const answerWithin = 2 * time.Minute

func updateVerb(args []string) (int, error) {
	fs := newFlags("update", updateUsage)
	check := fs.Bool("check", false, "")
	now := fs.Bool("now", false, "")
	wait := fs.Bool("wait", false, "")
	if err := parse(fs, args, updateUsage); err != nil {
		return program.ExitUsage, err
	}
	if fs.NArg() > 0 || *check && (*now || *wait) {
		return program.ExitUsage, errors.New("update takes --check, or --now and --wait, and no argument\nhint: portward update --help")
	}
	r := requests.Request{Op: "update"}
	switch {
	case *check:
		r.Op = "check"
	case *now:
		r.Op = "force"
	}
	return askSupervisor(fs.Lookup("root").Value.String(), r, *wait, time.Hour)
}

func rollbackVerb(args []string) (int, error) {
	fs := newFlags("rollback", rollbackUsage)
	if err := parse(fs, args, rollbackUsage); err != nil {
		return program.ExitUsage, err
	}
	if fs.NArg() > 0 {
		return program.ExitUsage, fmt.Errorf("rollback takes no argument %q", fs.Arg(0))
	}
	return askSupervisor(fs.Lookup("root").Value.String(), requests.Request{Op: "rollback"}, false, answerWithin)
}

func unblockVerb(args []string) (int, error) {
	fs := newFlags("unblock", unblockUsage)
	rest, err := parseMixed(fs, args, unblockUsage)
	if err != nil {
		return program.ExitUsage, err
	}
	if len(rest) != 1 {
		return program.ExitUsage, errors.New("unblock takes one hash or version\nhint: portward status shows what is denied")
	}
	at := fs.Lookup("root").Value.String()
	if err := checkDenied(at, rest[0]); err != nil {
		return program.ExitAgain, err
	}
	return askSupervisor(at, requests.Request{Op: "unblock", Arg: rest[0]}, false, answerWithin)
}

// checkDenied refuses a name that is nobody's on the deny list. Whether one is long
// enough, and meant, the supervisor says.
func checkDenied(rootFlag, which string) error {
	root, err := resolveRoot(rootFlag)
	if err != nil {
		return nil // asking says why
	}
	st, err := status.Read(program.StatusPath(root))
	if err != nil {
		return nil
	}
	var names []string
	for _, d := range st.Payload.Denied {
		if d.Version == which || strings.HasPrefix(d.Hash, which) {
			return nil
		}
		names = append(names, d.Version)
	}
	if len(names) == 0 {
		return fmt.Errorf("no release %q is denied, and no other", which)
	}
	return fmt.Errorf("no release %q is denied\nhint: portward status shows those that are: %s", which, strings.Join(names, ", "))
}

// askSupervisor lays a request into the supervisor's folder and waits for its
// answer in the status file.
func askSupervisor(rootFlag string, r requests.Request, wait bool, within time.Duration) (int, error) {
	root, err := resolveRoot(rootFlag)
	if err != nil {
		return program.ExitUsage, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	news, err := status.Watch(ctx, program.StatusPath(root))
	if errors.Is(err, fs.ErrNotExist) {
		return program.ExitAgain, fmt.Errorf("no supervisor runs on %s\nhint: say where with --root DIR", root)
	}
	if err != nil {
		return program.ExitAgain, err
	}
	a := &awaited{op: r.Op, wait: wait, show: newScreen(false, term.IsTerminal(int(os.Stdout.Fd())))}
	if cfg, err := config.Load(root); err == nil {
		a.window = time.Duration(cfg.Update.TrialWindow)
	}
	for {
		code, err := a.ask(ctx, news, root, r)
		if err != nil || !a.again {
			return code, err
		}
	}
}

// ask lays the request and waits for its answer.
func (a *awaited) ask(ctx context.Context, news <-chan status.Status, root string, r requests.Request) (code int, err error) {
	a.again, a.unheard, a.trial, a.late = false, false, nil, nil
	a.before, _ = status.Read(program.StatusPath(root)) // where there is none yet, the first one will do
	if t := a.before.Payload.Trial; t != nil && a.wait {
		a.show.say("waiting for the trial of %s first", t.Version)
	}
	a.id, err = requests.Submit(program.RequestDir(root), r)
	if errors.Is(err, fs.ErrPermission) {
		return program.ExitAgain, fmt.Errorf("only who runs the supervisor of %s may ask it: %w", root, err)
	}
	if err != nil {
		return program.ExitAgain, err
	}
	code, err = a.await(ctx, news)
	if ctx.Err() != nil && requests.Withdraw(program.RequestDir(root), a.id) == nil {
		err = errors.New("nobody took the request, and it was withdrawn\nhint: is the supervisor there? portward status")
	}
	return code, err
}
