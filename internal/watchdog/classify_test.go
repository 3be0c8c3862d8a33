package watchdog

import (
	"strings"
	"testing"
	"time"
)

func TestClassify(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	page := Reading{Beat: 100 * s, CPU: 5 * s, Items: 9, Limit: 2 * s, Grace: s}
	quit := []byte("SIGQUIT: quit\nPC=0x47c0e1 m=0\n")
	panicked := []byte("panic: oh no\n\ngoroutine 1 [running]:\n")
	for name, c := range map[string]struct {
		page   Reading
		exit   Exit
		age    time.Duration
		stacks []byte
		class  Class
		text   string
	}{
		"deadlock":                       {page, Exit{Code: 2, CPU: 5*s + 90*ms}, 2*s + 30*ms, quit, Deadlock, "no progress for 2.03s, limit 2s; used 90ms"},
		"deadlock, no CPU time told":     {page, Exit{Code: 2}, 2*s + ms, quit, Deadlock, ""},
		"deadlock that died of SIGQUIT":  {page, Exit{Signal: 3, CPU: 5 * s}, 2*s + ms, nil, Deadlock, ""},
		"deadlock cut short by SIGKILL":  {page, Exit{Signal: 9, CPU: 5 * s}, 3 * s, quit, Deadlock, ""},
		"deadlock, stacks not kept":      {page, Exit{Code: 2, CPU: 5 * s}, 2*s + ms, nil, Deadlock, ""},
		"livelock":                       {page, Exit{Code: 2, CPU: 6*s + 900*ms}, 2*s + 30*ms, quit, Livelock, "used 1.9s"},
		"livelock on two processors":     {page, Exit{Signal: 9, CPU: 11 * s}, 3*s + ms, nil, Livelock, ""},
		"CPU exactly a quarter":          {page, Exit{Code: 2, CPU: 5*s + 750*ms}, 3 * s, quit, Deadlock, ""},
		"livelock on a loaded machine":   {page, Exit{Code: 2, CPU: 5*s + 751*ms}, 3 * s, quit, Livelock, ""},
		"stopped":                        {page, Exit{Signal: 9, CPU: 5*s + ms}, 3*s + ms, nil, Stopped, "wrote no stacks"},
		"stall":                          {page, Exit{Code: 2, CPU: 5 * s}, 5*s + ms, quit, Stall, "the machine stood still"},
		"stall, at the border":           {page, Exit{Code: 2, CPU: 5 * s}, 5 * s, quit, Deadlock, ""},
		"stall with a short limit":       {Reading{Beat: s, Limit: 100 * ms, Grace: 100 * ms}, Exit{Signal: 9}, 1201 * ms, nil, Stall, ""},
		"slow report with a short limit": {Reading{Beat: s, Limit: 100 * ms, Grace: 100 * ms}, Exit{Signal: 9}, 1199 * ms, nil, Stopped, ""},
		"panic":                          {page, Exit{Code: 2, CPU: 7 * s}, 500 * ms, panicked, Crash, `exit status 2: "panic: oh no"`},
		"panic, at the limit":            {page, Exit{Code: 2}, 2 * s, nil, Crash, "exit status 2"},
		"panic that took long to write":  {page, Exit{Code: 2}, 4 * s, panicked, Crash, "panic: oh no"},
		"SIGQUIT by hand":                {page, Exit{Code: 2}, 100 * ms, quit, Crash, `exit status 2: "SIGQUIT: quit"`},
		"SIGKILL by somebody":            {page, Exit{Signal: 9}, 400 * ms, nil, Crash, "signal 9 (killed)"},
		"segmentation fault":             {page, Exit{Signal: 11}, 400 * ms, nil, Crash, "signal 11"},
		"fault after a long silence":     {page, Exit{Signal: 11}, 4 * s, nil, Crash, "signal 11"},
		"status 1":                       {page, Exit{Code: 1}, 4 * s, nil, Crash, "exit status 1"},
		"status 0":                       {page, Exit{}, 100 * ms, nil, Crash, "exit status 0 without a goodbye"},
		"never armed":                    {Reading{}, Exit{Code: 2}, 900 * s, quit, Crash, ""},
		"armed, never beaten":            {Reading{Limit: s, Grace: s}, Exit{Signal: 9}, 900 * s, nil, Crash, ""},
		"a beat in the future":           {page, Exit{Code: 2}, -s, nil, Crash, ""},
		"absurd page":                    {Reading{Beat: 1<<63 - 1, CPU: 1<<63 - 1, Limit: 1<<63 - 1, Grace: 1<<63 - 1}, Exit{Code: 2}, 0, nil, Crash, ""},
		"controls in the child's words":  {page, Exit{Code: 2}, 0, []byte("panic: \x1b[2J\xff\r"), Crash, `exit status 2: "panic: \x1b[2J\xff\r"`},
	} {
		t.Run(name, func(t *testing.T) {
			class, text := Classify(c.page, c.exit, c.page.Beat+c.age, c.stacks)
			if class != c.class || !strings.Contains(text, c.text) {
				t.Errorf("%v, %q; want %v, %q", class, text, c.class, c.text)
			}
		})
	}
}

// What the child wrote is printed to terminals and into files.
func FuzzClassify(f *testing.F) {
	f.Add(uint64(1), uint64(1), uint64(1), uint64(1), 2, 0, int64(5), []byte("panic: x"))
	f.Add(uint64(1<<63), uint64(1<<63-1), uint64(1<<63-1), uint64(1<<63-1), 0, 9, int64(1<<62), []byte("\x1b\n"))
	f.Fuzz(func(t *testing.T, beat, cpu, limit, grace uint64, code, signal int, now int64, stacks []byte) {
		r := Reading{Beat: time.Duration(beat), CPU: time.Duration(cpu), Limit: time.Duration(limit), Grace: time.Duration(grace)}
		class, text := Classify(r, Exit{Code: code, Signal: signal}, time.Duration(now), stacks)
		switch class {
		case Crash, Deadlock, Livelock, Stopped, Stall:
		default:
			t.Errorf("class %v", class)
		}
		if text == "" || len(text) > 1200 || strings.IndexFunc(text, func(r rune) bool { return r < ' ' }) >= 0 {
			t.Errorf("text %q", text)
		}
	})
}
