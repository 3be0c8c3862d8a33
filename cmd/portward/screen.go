package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/viewer"
)

// How often the table is drawn, and how often plain lines sum up. A look
// at launchd's jobs costs some processes.
const (
	drawEvery  = 500 * time.Millisecond
	drawCostly = 2 * time.Second
	sumEvery   = 5 * time.Second
)

// A screen shows what happens: a live table on a terminal, plain lines
// elsewhere, on stderr where stdout is for the report.
type screen struct {
	mu     sync.Mutex
	out    io.Writer
	live   bool // draw a table
	drawn  int  // its lines on the terminal now
	recent []string
}

func newScreen(json, terminal bool) *screen {
	s := &screen{out: os.Stdout, live: terminal && !json}
	if json {
		s.out = os.Stderr
	}
	return s
}

// say prints a line for people.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// note remembers a line about a job, below the table; where there is no table
// it is printed.
func (s *screen) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !s.live {
		s.say("%s", line)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recent = append(s.recent, time.Now().Format("15:04:05 ")+line)
	s.recent = s.recent[max(0, len(s.recent)-6):]
}

// erase takes the table off the terminal.
func (s *screen) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}

// end leaves the terminal as it is.
func (s *screen) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drawn = 0
}

// draw replaces the table. What does not fit on the terminal is cut off: rows
// that the terminal broke or scrolled away could not be taken off again.
func (s *screen) draw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		width, height = 80, 24
	}
	lines := fit(text+strings.Join(s.recent, "\n"), width, height-1)
	io.WriteString(s.out, strings.Join(lines, "\n")+"\n")
	s.drawn = len(lines)
}

// fit cuts text to so many columns and rows.
func fit(text string, width, height int) []string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if height > 1 && len(lines) > height {
		lines = append(lines[:height-1:height-1], fmt.Sprintf("... %d more lines", len(lines)-height+1))
	}
	for i, line := range lines {
		if r := []rune(line); width > 0 && len(r) > width {
			lines[i] = string(r[:width])
		}
	}
	return lines
}

// table is the snapshot for people.
func table(s snapshot) string {
	var b strings.Builder
	w := 12 // of the first column
	for _, j := range s.Jobs {
		w = max(w, len(nickname(jobs.Target(j.Label))))
	}
	fmt.Fprintf(&b, "%-*s %-9s %5s %8s %9s %8s  %s\n", w, "JOB", "STATE", "LIFE", "PID", "UPTIME", "RESTARTS", "LAST VERDICT")
	for _, j := range s.Jobs {
		pid, uptime := "-", "-"
		if j.PID != 0 {
			pid, uptime = fmt.Sprint(j.PID), time.Duration(j.UptimeS*float64(time.Second)).Round(100*time.Millisecond).String()
		}
		fmt.Fprintf(&b, "%-*s %-9s %5d %8s %9s %8d  %s\n", w, nickname(jobs.Target(j.Label)), j.State, j.Life, pid, uptime, j.Restarts, j.Verdict)
	}
	fmt.Fprintf(&b, "%-*s %9s %10s  %s\n", w, "LOGIN", "FRAMES/S", "FRAMES", "GAPS")
	for _, x := range s.Sessions {
		fmt.Fprintf(&b, "%-*s %9s %10d  %s\n", w, x.ID, paceInWords(x), x.Frames, gapsInWords(x))
	}
	if text := hangsInWords(s); text != "" {
		b.WriteString(text + "\n")
	}
	if s.Held != "" {
		fmt.Fprintf(&b, "netchild is held: %s\n", s.Held)
	}
	b.WriteString(payloadLines(s.Payload))
	return b.String()
}

// paceInWords answers the frames per second, when enough of them were seen.
func paceInWords(x sessionView) string {
	if x.FPSUnknown {
		return "-"
	}
	return fmt.Sprintf("%.1f", x.FPS)
}

// gapsInWords tells how often a login's stream was broken.
func gapsInWords(x sessionView) string {
	text := "no gap"
	switch {
	case x.GapsUnknown:
		return "gaps are not measured"
	case x.Gaps == 1:
		text = fmt.Sprintf("1 gap, of %.1f ms", x.LastGapMS)
	case x.Gaps > 1:
		text = fmt.Sprintf("%d gaps, the last of %.1f ms", x.Gaps, x.LastGapMS)
	}
	if x.Broken {
		text += fmt.Sprintf(", broken for %v", time.Duration(x.BrokenMS*float64(time.Millisecond)).Round(time.Second))
	}
	return text
}

// hangsInWords tells of the time in which pictures stood still and no gap was
// open yet: a hung netchild keeps its connections.
func hangsInWords(s snapshot) string {
	if s.Hangs == 0 {
		return ""
	}
	times := map[bool]string{true: "once", false: fmt.Sprintf("%d times", s.Hangs)}[s.Hangs == 1]
	return fmt.Sprintf("netchild hung %s: the pictures stood still for %v at least before the gap began", times, time.Duration(s.HangMS*float64(time.Millisecond)))
}

// watch shows the world until ctx ends or its time is up.
func (w *world) watch(ctx context.Context) error {
	if w.o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, w.began.Add(w.o.duration))
		defer cancel()
	}
	if !w.show.live {
		w.show.say("the viewer is at %s, where TOKEN is the line in %s", viewer.Address(reachable(w.viewer), "TOKEN"), w.tokenPath())
		w.tellOfViewer()
	}
	told, payload := false, ""
	tick := time.NewTicker(w.pace())
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s := w.snapshot()
		if w.show.live {
			if token, err := viewer.ReadToken(program.StateDir(w.o.root)); err == nil && !told {
				told = true
				w.show.say("the viewer is at %s", viewer.Address(reachable(w.viewer), token))
				w.tellOfViewer()
			}
			w.show.draw(table(s))
			continue
		}
		if line := payloadLine(s.Payload); line != payload && s.Payload.Phase != "" {
			payload = line
			w.show.say("release: %s", line)
		}
		for _, x := range s.Sessions {
			w.show.say("login %s: %s, %s/s, %s", x.ID, amount(x.Frames, "frame"), paceInWords(x), gapsInWords(x))
		}
	}
}

// pace is the time between two looks.
func (w *world) pace() time.Duration {
	switch {
	case !w.show.live:
		return sumEvery
	case w.costly:
		return drawCostly
	}
	return drawEvery
}

// tellOfViewer says what a person meets who opens the address.
func (w *world) tellOfViewer() {
	w.show.say("its certificate is self-signed, so the browser warns once; go on")
	host, port, _ := net.SplitHostPort(w.viewer)
	if there := strings.Fields(os.Getenv("SSH_CONNECTION")); len(there) == 4 && net.ParseIP(host).IsLoopback() {
		w.show.say("from where you sit: ssh -L %s:%s %s, then the same address", port, w.viewer, there[2])
	}
}

// reachable answers an address that a browser can be given: of one that means
// every interface, one that is seen from outside.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr
	}
	host = "127.0.0.1"
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			host = n.IP.String()
			break
		}
	}
	return net.JoinHostPort(host, port)
}

func (w *world) tokenPath() string {
	return viewer.TokenPath(program.StateDir(w.o.root))
}

// tell puts an engine's event into words.
func tell(ev jobs.Event) string {
	switch ev.Kind {
	case jobs.Started:
		return fmt.Sprintf("%s: life %d started, pid %d", ev.Target, ev.Life, ev.PID)
	case jobs.StartFailed:
		return fmt.Sprintf("%s: life %d did not start: %s", ev.Target, ev.Life, ev.Err)
	case jobs.Exited:
		return fmt.Sprintf("%s: life %d ended: %s", ev.Target, ev.Life, exitInWords(ev.Target, ev.Exit.String()))
	}
	return ""
}
