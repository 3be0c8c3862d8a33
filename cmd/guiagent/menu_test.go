package main

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"portward/internal/program"
	"portward/internal/status"
)

func told(linked bool, n status.NetChild, p status.Payload) scene {
	return scene{linked: linked, told: true, status: status.Status{NetChild: n, Payload: p}, zone: time.UTC}
}

// Rule: the item tells streaming, paused and why, no release yet and update waiting apart,
// and never says paused while netchild has the displays.
func TestMenuTells(t *testing.T) {
	until := time.Date(2026, 11, 30, 15, 4, 0, 0, time.UTC)
	installed := status.Payload{State: status.Installed, Version: "1.1.0"}
	waiting := installed
	waiting.Deferred = &status.Deferred{Version: "1.2.0", Why: "somebody is connected", Until: until}
	staged := waiting
	staged.Deferred = &status.Deferred{Version: "1.2.0", Why: "not its turn"}
	trial := installed
	trial.Trial = &status.Trial{Version: "1.2.0"}
	fetching := status.Payload{State: status.NoPayload, Phase: status.Downloading, Progress: &status.Progress{Done: 3_100_000, Total: 12_000_000, Unit: "bytes"}}
	up, down := status.NetChild{State: status.Up}, status.NetChild{State: status.Down}
	held := status.NetChild{State: status.Held, HeldUntil: until, Reason: "five fast deaths"}
	for name, c := range map[string]struct {
		scene scene
		title string
		lines []string
	}{
		"streaming":           {told(true, up, installed), "Pw ▶", []string{"Streaming", "Version 1.1.0"}},
		"streaming, old tale": {told(true, held, fetching), "Pw ▶", []string{"Streaming"}},
		"paused":              {told(false, down, installed), "Pw ‖", []string{"Paused: nobody is watching", "Version 1.1.0"}},
		"held":                {told(false, held, installed), "Pw ‖", []string{"Paused until 15:04: five fast deaths", "Version 1.1.0"}},
		"held, no reason":     {told(false, status.NetChild{State: status.Held, HeldUntil: until}, status.Payload{}), "Pw ‖", []string{"Paused until 15:04"}},
		"starting":            {told(false, status.NetChild{State: status.Starting}, installed), "Pw ‖", []string{"Paused: netchild is starting", "Version 1.1.0"}},
		"state to come":       {told(false, status.NetChild{State: "asleep"}, installed), "Pw ‖", []string{"Paused: netchild is asleep", "Version 1.1.0"}},
		"damaged":             {told(false, up, status.Payload{State: status.Damaged}), "Pw ‖", []string{"Paused: what is installed is damaged"}},
		"no status":           {scene{zone: time.UTC}, "Pw ‖", []string{"Paused: the supervisor does not run"}},
		"no release yet":      {told(false, down, fetching), "Pw …", []string{"No release yet: downloading 3.1 of 12 MB"}},
		"nobody fetches":      {told(false, down, status.Payload{State: status.NoPayload}), "Pw …", []string{"No release, and nobody who fetches one"}},
		"update waiting":      {told(true, up, waiting), "Pw ▶ ↑", []string{"Streaming", "Version 1.1.0", "Version 1.2.0 is waiting, until 15:04 at most: somebody is connected"}},
		"paused, waiting":     {told(false, down, staged), "Pw ‖ ↑", []string{"Paused: nobody is watching", "Version 1.1.0", "Version 1.2.0 is waiting: not its turn"}},
		"barred":              {scene{barred: true, told: true, status: status.Status{NetChild: up, Payload: waiting}, zone: time.UTC}, "Pw ‖ ↑", []string{"Paused: not allowed to record the screen", "Version 1.1.0", "Version 1.2.0 is waiting, until 15:04 at most: somebody is connected"}},
		"barred, no status":   {scene{barred: true, zone: time.UTC}, "Pw ‖", []string{"Paused: not allowed to record the screen"}},
		"on trial":            {told(true, up, trial), "Pw ▶", []string{"Streaming", "Version 1.1.0", "Version 1.2.0 is on trial"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.scene.face()
			if f.title != c.title || !slices.Equal(f.lines, c.lines) || f.tooltip != "Portward: "+c.lines[0] {
				t.Errorf("%q, %q, %q; want %q, %q", f.title, f.tooltip, f.lines, c.title, c.lines)
			}
		})
	}
}

// Rule: what a status says, whoever wrote it, becomes a few short lines.
func TestMenuOfRubbish(t *testing.T) {
	long := strings.Repeat("ä\x00\n\x1b[31m\u202e", 500) + "\xff"
	p := status.Payload{State: status.Installed, Version: long, Warnings: slices.Repeat([]string{long}, 50)}
	p.Deferred = &status.Deferred{Version: long, Why: long}
	f := told(false, status.NetChild{State: status.State(long)}, p).face()
	if len(f.lines) > 6 {
		t.Errorf("%d lines", len(f.lines))
	}
	for _, line := range append(f.lines, f.tooltip) {
		bad := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsGraphic(r) })
		if bad >= 0 || !utf8.ValidString(line) || utf8.RuneCountInString(line) > maxMenuLine+len("Portward: ") {
			t.Errorf("a line of %d runes, odd at %d: %q", utf8.RuneCountInString(line), bad, line)
		}
	}
}

// Rule: looking needs neither a status nor a connection.
func TestMenuWithoutAStatus(t *testing.T) {
	a := &agent{p: &program.Program{Root: t.TempDir()}}
	if f := a.scene().face(); f.title != markPaused {
		t.Errorf("%+v", f)
	}
	a.joined()
	if f := a.scene().face(); f.title != markStreaming {
		t.Errorf("%+v", f)
	}
}
