package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"portward/internal/jobs"
	"portward/internal/viewer"
)

// How often the table is drawn, and how often plain lines sum up.
const (
	drawEvery = 500 * time.Millisecond
	sumEvery  = 5 * time.Second
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

// draw replaces the table.
func (s *screen) draw(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	text += strings.Join(s.recent, "\n")
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	io.WriteString(s.out, text)
	s.drawn = rows(text, s.width())
}

// width is the terminal's, in columns; 0 where that is not known.
func (s *screen) width() int {
	w, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil {
		return 0
	}
	return w
}

// rows is how many rows text takes on a terminal of that width, which breaks
// longer lines.
func rows(text string, width int) int {
	n := 0
	for line := range strings.Lines(text) {
		n++
		if long := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > 0 && long > width {
			n += (long - 1) / width
		}
	}
	return n
}

// table is the snapshot for people.
func table(s snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-36s %-10s %5s %8s %9s %9s  %s\n", "JOB", "STATE", "LIFE", "PID", "UPTIME", "RESTARTS", "LAST VERDICT")
	for _, j := range s.Jobs {
		pid, uptime := "-", "-"
		if j.PID != 0 {
			pid, uptime = fmt.Sprint(j.PID), time.Duration(j.UptimeS*float64(time.Second)).Round(100*time.Millisecond).String()
		}
		fmt.Fprintf(&b, "%-36s %-10s %5d %8s %9s %9d  %s\n", j.Label, j.State, j.Life, pid, uptime, j.Restarts, j.Verdict)
	}
	fmt.Fprintf(&b, "%-36s %10s %10s %6s  %s\n", "SESSION", "FRAMES/S", "FRAMES", "GAPS", "LAST GAP")
	for _, x := range s.Sessions {
		last := "-"
		if x.Gaps > 0 {
			last = fmt.Sprintf("%.1f ms", x.LastGapMS)
		}
		if x.Broken {
			last += " (broken now)"
		}
		fmt.Fprintf(&b, "%-36s %10.1f %10d %6d  %s\n", "login "+x.ID, x.FPS, x.Frames, x.Gaps, last)
	}
	if s.Held != "" {
		fmt.Fprintf(&b, "netchild is held: %s\n", s.Held)
	}
	return b.String()
}

// watch shows the world until ctx ends or its time is up.
func (w *world) watch(ctx context.Context) error {
	if w.o.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, w.began.Add(w.o.duration))
		defer cancel()
	}
	if !w.show.live {
		w.show.say("the viewer is at https://%s/ (its token is in %s)", w.viewer, w.tokenPath())
	}
	every := drawEvery
	if !w.show.live {
		every = sumEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s := w.snapshot()
		if w.show.live {
			w.show.draw(table(s) + "viewer: " + w.address() + "\n")
			continue
		}
		for _, x := range s.Sessions {
			w.show.say("login %s: %d frames, %.1f/s, %d gaps, the last %.1f ms", x.ID, x.Frames, x.FPS, x.Gaps, x.LastGapMS)
		}
	}
}

func (w *world) tokenPath() string {
	return viewer.TokenPath(filepath.Join(w.o.root, "state", "netchild"))
}

// address is the viewer's with its token; for a terminal only.
func (w *world) address() string {
	b, err := os.ReadFile(w.tokenPath())
	if err != nil {
		return "https://" + w.viewer + "/ (its token is made when netchild first starts)"
	}
	return viewer.Address(w.viewer, strings.TrimSpace(string(b)))
}

// tell puts an engine's event into words.
func tell(ev jobs.Event) string {
	switch ev.Kind {
	case jobs.Started:
		return fmt.Sprintf("%s: life %d started, pid %d", ev.Target, ev.Life, ev.PID)
	case jobs.StartFailed:
		return fmt.Sprintf("%s: life %d did not start: %s", ev.Target, ev.Life, ev.Err)
	case jobs.Exited:
		return fmt.Sprintf("%s: life %d ended: %v", ev.Target, ev.Life, ev.Exit)
	}
	return ""
}
