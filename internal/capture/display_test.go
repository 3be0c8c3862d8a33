package capture

import (
	"strconv"
	"strings"
	"testing"
)

// Rule: all names of local displays are understood, and nothing else.
func TestParseDisplay(t *testing.T) {
	for name, want := range map[string]display{
		":0":                {"/tmp/.X11-unix/X0", "0", 0},
		":1.0":              {"/tmp/.X11-unix/X1", "1", 0},
		":12.3":             {"/tmp/.X11-unix/X12", "12", 3},
		"unix:1":            {"/tmp/.X11-unix/X1", "1", 0},
		"unix:1.2":          {"/tmp/.X11-unix/X1", "1", 2},
		":007":              {"/tmp/.X11-unix/X7", "7", 0},
		"/tmp/.X11-unix/X5": {"/tmp/.X11-unix/X5", "5", 0},
		"/run/me/screen":    {"/run/me/screen", "", 0},
		"/run/me/Xfoo":      {"/run/me/Xfoo", "", 0},
	} {
		if got, err := parseDisplay(name); err != nil || got != want {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, name := range []string{
		"", ":", "1", "unix", ":a", ":-1", ":+1", ": 1", ":1.", ":1.x", ":1.0.0", ":65536", ":1_0",
		"localhost:1", "example.org:0.0", "tcp/localhost:1", "::1", "/", "/tmp/", "/tmp/\x00X1",
	} {
		if got, err := parseDisplay(name); err == nil {
			t.Errorf("%q: %+v", name, got)
		}
	}
}

func FuzzParseDisplay(f *testing.F) {
	for _, s := range []string{":1", "unix:1.0", "/tmp/.X11-unix/X1", "host:1", ":99999999999999999999", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		d, err := parseDisplay(name)
		if err != nil {
			return
		}
		if strings.HasPrefix(name, "/") {
			if d.socket != name {
				t.Errorf("%q became %q", name, d.socket)
			}
			return
		}
		if d.socket != socketPrefix+d.number || d.screen < 0 || d.screen > 65535 {
			t.Errorf("%q: %+v", name, d)
		}
		again, err := parseDisplay(":" + d.number + "." + strconv.Itoa(d.screen))
		if err != nil || again != d {
			t.Errorf("%q: %+v, then %+v, %v", name, d, again, err)
		}
	})
}
