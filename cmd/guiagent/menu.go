package main

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"portward/internal/capture"
	"portward/internal/program"
	"portward/internal/status"
)

// A scene is what the menu-bar item is about. It is shown where the agent was
// built with cgo for macOS; everything but the showing is here.
type scene struct {
	linked bool           // netchild has this login's displays
	barred bool           // the system lets nobody record them
	told   bool           // there is a status
	status status.Status  // what the supervisor tells everybody
	zone   *time.Location // of this login
}

// A face is what the item looks like. It offers nothing to choose: an agent has
// no command path to anybody.
type face struct {
	title   string // in the menu bar
	tooltip string
	lines   []string // of its menu
}

// The marks in the menu bar.
const (
	markStreaming = "Pw ▶"
	markPaused    = "Pw ‖"
	markNone      = "Pw …"
	markWaiting   = " ↑" // behind any of them
)

// Bounds of what comes from elsewhere.
const (
	maxMenuLine = 100 // runes
	maxWarnings = 3
)

// scene looks now.
func (a *agent) scene() scene {
	a.linking.Lock()
	linked := a.linked
	a.linking.Unlock()
	a.mu.Lock()
	barred := errors.Is(a.display, capture.ErrPermission)
	a.mu.Unlock()
	st, err := status.Read(program.StatusPath(a.p.Root))
	return scene{linked: linked, barred: barred, told: err == nil, status: st, zone: time.Local}
}

// face is the scene, for people.
func (s scene) face() face {
	mark, first := s.streaming()
	lines := []string{first}
	if v := s.status.Payload.Version; v != "" {
		lines = append(lines, "Version "+v)
	}
	if next := s.update(); next != "" {
		lines = append(lines, next)
	}
	if s.status.Payload.Deferred != nil {
		mark += markWaiting
	}
	warnings := s.status.Payload.Warnings
	lines = append(lines, warnings[:min(len(warnings), maxWarnings)]...)
	for i := range lines {
		lines[i] = oneLine(lines[i])
	}
	return face{title: mark, tooltip: "Portward: " + lines[0], lines: lines}
}

// streaming is the mark and the first line. What the agent knows itself comes
// before what it was told.
func (s scene) streaming() (mark, line string) {
	p, n := s.status.Payload, s.status.NetChild
	switch {
	case s.linked:
		return markStreaming, "Streaming"
	case s.barred:
		return markPaused, "Paused: " + capture.ErrPermission.Error()
	case !s.told:
		return markPaused, "Paused: the supervisor does not run"
	case p.State == status.NoPayload:
		return markNone, strings.ToUpper(lack(p)[:1]) + lack(p)[1:]
	case p.State == status.Damaged:
		return markPaused, "Paused: what is installed is damaged"
	case n.State == status.Held && n.Reason != "":
		return markPaused, "Paused until " + s.clock(n.HeldUntil) + ": " + n.Reason
	case n.State == status.Held:
		return markPaused, "Paused until " + s.clock(n.HeldUntil)
	case n.State == status.Down:
		return markPaused, "Paused: nobody is watching"
	}
	return markPaused, "Paused: netchild is " + string(n.State)
}

// update is what is known of the next release, if anything.
func (s scene) update() string {
	p := s.status.Payload
	switch {
	case p.Trial != nil:
		return fmt.Sprintf("Version %s is on trial", p.Trial.Version)
	case p.Deferred == nil:
		return ""
	case p.Deferred.Until.IsZero():
		return fmt.Sprintf("Version %s is waiting: %s", p.Deferred.Version, p.Deferred.Why)
	}
	return fmt.Sprintf("Version %s is waiting, until %s at most: %s", p.Deferred.Version, s.clock(p.Deferred.Until), p.Deferred.Why)
}

func (s scene) clock(t time.Time) string { return t.In(s.zone).Format("15:04") }

// oneLine makes a menu's line of whatever it is given.
func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return ' '
	}, text)
	if runes := []rune(text); len(runes) > maxMenuLine {
		return string(runes[:maxMenuLine-1]) + "…"
	}
	return text
}
