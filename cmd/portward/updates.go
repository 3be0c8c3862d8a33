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

	"portward/internal/program"
	requests "portward/internal/request"
	"portward/internal/status"
)

const updateUsage = `usage: portward update [--check|--now] [--root DIR]

Asks the supervisor to look for a release and to take it, and shows how far it
is until the answer is there. It may be refused: for a share of the machines
that this one does not belong to, for a session that is on, or because the
release failed here before.

  --check     only look
  --now       take it now: whatever the share, and sessions are interrupted
  --root DIR  where the product is
`

const rollbackUsage = `usage: portward rollback [--root DIR]

Asks the supervisor to put the retained bundle back in place. The present one
is then on the deny list: portward unblock lets it be tried again.
`

const unblockUsage = `usage: portward unblock HASH|VERSION [--root DIR]

Takes a release off the supervisor's deny list. portward status shows the list.
`

// answerWithin is how long a request may take whose answer needs no download.
const answerWithin = 2 * time.Minute

func updateVerb(args []string) (int, error) {
	fs := newFlags("update", updateUsage)
	check := fs.Bool("check", false, "")
	now := fs.Bool("now", false, "")
	if err := parse(fs, args, updateUsage); err != nil {
		return program.ExitUsage, err
	}
	if fs.NArg() > 0 || *check && *now {
		return program.ExitUsage, errors.New("update takes --check or --now and no argument\nhint: portward update --help")
	}
	r := requests.Request{Op: "update"}
	switch {
	case *check:
		r.Op = "check"
	case *now:
		r.Op = "force"
	}
	return askSupervisor(fs.Lookup("root").Value.String(), r, time.Hour)
}

func rollbackVerb(args []string) (int, error) {
	fs := newFlags("rollback", rollbackUsage)
	if err := parse(fs, args, rollbackUsage); err != nil {
		return program.ExitUsage, err
	}
	if fs.NArg() > 0 {
		return program.ExitUsage, fmt.Errorf("rollback takes no argument %q", fs.Arg(0))
	}
	return askSupervisor(fs.Lookup("root").Value.String(), requests.Request{Op: "rollback"}, answerWithin)
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
	return askSupervisor(fs.Lookup("root").Value.String(), requests.Request{Op: "unblock", Arg: rest[0]}, answerWithin)
}

// askSupervisor lays a request into the supervisor's folder and waits for its
// answer in the status file.
func askSupervisor(rootFlag string, r requests.Request, within time.Duration) (int, error) {
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
	id, err := requests.Submit(program.RequestDir(root), r)
	if errors.Is(err, fs.ErrPermission) {
		return program.ExitAgain, fmt.Errorf("only who runs the supervisor of %s may ask it: %w", root, err)
	}
	if err != nil {
		return program.ExitAgain, err
	}
	code, err := awaitAnswer(ctx, news, id, r.Op)
	if ctx.Err() != nil && requests.Withdraw(program.RequestDir(root), id) == nil {
		err = errors.New("nobody took the request, and it was withdrawn\nhint: is the supervisor there? portward status")
	}
	return code, err
}

// awaitAnswer shows what the supervisor does until it has answered request id.
// A supervisor that ended for another one may have taken the answer with it:
// then what lies there now is the answer.
func awaitAnswer(ctx context.Context, news <-chan status.Status, id, op string) (int, error) {
	show := newScreen(false, term.IsTerminal(int(os.Stderr.Fd())))
	said, before := "", ""
	for {
		select {
		case <-ctx.Done():
			return program.ExitAgain, errors.New("no answer yet; the supervisor goes on\nhint: portward status")
		case st, ok := <-news:
			if !ok {
				return program.ExitAgain, errors.New("the status file is gone")
			}
			for _, a := range st.Payload.Answers {
				if a.ID != id {
					continue
				}
				if a.Error != "" {
					return program.ExitAgain, errors.New(a.Error)
				}
				fmt.Println(a.Text)
				return program.ExitOK, nil
			}
			switch hash := st.Payload.Hash; {
			case before == "":
				before = hash
			case before != hash && (op == "rollback") == (st.Payload.Trial == nil):
				fmt.Println(payloadLine(st.Payload))
				return program.ExitOK, nil
			}
			if line := payloadLine(st.Payload); line != said {
				said = line
				show.say("%s", line)
			}
		}
	}
}

// payloadLine says in one line what is installed and what is being done.
func payloadLine(p status.Payload) string {
	var b strings.Builder
	switch p.State {
	case status.NoPayload:
		b.WriteString("no payload yet")
	case status.Damaged:
		b.WriteString("damaged")
	default:
		b.WriteString(p.Version)
	}
	if p.Phase != "" && p.Phase != status.Idle {
		fmt.Fprintf(&b, "; %s", p.Phase)
	}
	if t := p.Trial; t != nil {
		fmt.Fprintf(&b, " (instead of %s, start %d%s)", t.From, t.Attempts, map[bool]string{true: ", after the cold start"}[t.Cold])
	}
	if g := p.Progress; g != nil && g.Total > 0 {
		fmt.Fprintf(&b, " %s %s", bar(g.Done, g.Total), quantity(g))
	}
	return b.String()
}

// bar draws how much of total is done.
func bar(done, total int64) string {
	const width = 20
	n := int(width * (float64(min(max(done, 0), total)) / float64(total)))
	return "[" + strings.Repeat("#", n) + strings.Repeat(".", width-n) + "]"
}

func quantity(g *status.Progress) string {
	if g.Unit == "ms" {
		d := func(ms int64) time.Duration { return (time.Duration(ms) * time.Millisecond).Round(time.Second) }
		return fmt.Sprintf("%v of %v healthy", d(g.Done), d(g.Total))
	}
	return fmt.Sprintf("%.1f of %.1f MB", float64(g.Done)/1e6, float64(g.Total)/1e6)
}

// payloadLines tells all there is to tell of the payload.
func payloadLines(p status.Payload) string {
	if p.State == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-12s %s\n", "PAYLOAD", payloadLine(p))
	line := func(format string, args ...any) { fmt.Fprintf(&b, "             "+format+"\n", args...) }
	clock := func(t time.Time) string { return t.Local().Format("15:04:05") }
	if p.Channel != "" && !p.Next.IsZero() {
		checked := "never checked"
		if !p.Checked.IsZero() {
			checked = "checked at " + clock(p.Checked)
		}
		line("channel %s; %s, the next time at %s", p.Channel, checked, clock(p.Next))
	}
	if p.Previous != "" {
		line("retained: %s", p.Previous)
	}
	if d := p.Deferred; d != nil {
		until := ""
		if !d.Until.IsZero() {
			until = ", until " + clock(d.Until) + " at the latest"
		}
		line("%s waits: %s%s", d.Version, d.Why, until)
	}
	for _, d := range p.Denied {
		line("denied: %s (%.12s): %s", d.Version, d.Hash, d.Why)
	}
	for _, w := range p.Warnings {
		line("warning: %s", w)
	}
	if p.Error != "" {
		line("the last attempt: %s", p.Error)
	}
	return b.String()
}
