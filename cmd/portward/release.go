package main

import (
	"fmt"
	"strings"
	"time"

	"portward/internal/status"
)

// payloadLine says in one line what is installed and what is being done.
func payloadLine(p status.Payload) string {
	var b strings.Builder
	switch p.State {
	case status.NoPayload:
		b.WriteString("no release yet")
	case status.Damaged:
		b.WriteString("damaged")
	default:
		b.WriteString(p.Version)
	}
	if p.Phase != "" && p.Phase != status.Idle {
		fmt.Fprintf(&b, "; %s", p.Phase)
	}
	if t := p.Trial; t != nil {
		fmt.Fprintf(&b, " (instead of %s, %s)", t.From, startsInWords(t))
	}
	if g := p.Progress; g != nil && g.Total > 0 {
		fmt.Fprintf(&b, " %s %s", bar(g.Done, g.Total), quantity(g))
	}
	return b.String()
}

// startsInWords says which of its starts a release on trial is at: the first, or the
// planned one after it, of which it may need more than one each.
func startsInWords(t *status.Trial) string {
	text := "first start"
	if t.Cold {
		text = "after its planned restart"
	}
	switch {
	case t.Attempts == 0:
		return "to be started again"
	case t.Attempts > 1:
		return fmt.Sprintf("%s, attempt %d", text, t.Attempts)
	}
	return text
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
	fmt.Fprintf(&b, "%-12s %s\n", "RELEASE", payloadLine(p))
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
