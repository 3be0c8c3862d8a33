package capture

import (
	"strconv"
	"strings"
	"testing"
)

// Rule: all names of local displays are understood, and nothing else.
func TestParseDisplay(t *testing.T) {
	for name, want := range map[string]display{
		":0":                {"/tmp/.X11-unix/X0", "0", 0, false},
		":1.0":              {"/tmp/.X11-unix/X1", "1", 0, true},
		":12.3":             {"/tmp/.X11-unix/X12", "12", 3, true},
		"unix:1":            {"/tmp/.X11-unix/X1", "1", 0, false},
		"unix:1.2":          {"/tmp/.X11-unix/X1", "1", 2, true},
		":007":              {"/tmp/.X11-unix/X7", "7", 0, false},
		"/tmp/.X11-unix/X5": {"/tmp/.X11-unix/X5", "5", 0, false},
		"/run/me/screen":    {"/run/me/screen", "", 0, false},
		"/run/me/Xfoo":      {"/run/me/Xfoo", "", 0, false},

		"/tmp/.X11-unix/X5.0": {"/tmp/.X11-unix/X5", "5", 0, true},
		"/tmp/.X11-unix/X5.2": {"/tmp/.X11-unix/X5", "5", 2, true},
		"/run/me/org.x.3":     {"/run/me/org.x", "", 3, true},
		"/run/me/org.x":       {"/run/me/org.x", "", 0, false},
		"/run/m.1/X5":         {"/run/m.1/X5", "5", 0, false},
		"/run/me/.1":          {"/run/me/.1", "", 0, false},
		"/run/me/X1.99999":    {"/run/me/X1.99999", "", 0, false},
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
			if rest, ok := strings.CutPrefix(name, d.socket); !ok || d.dotted != (rest != "") {
				t.Errorf("%q became %+v", name, d)
			}
			return
		}
		if d.socket != socketPrefix+d.number || d.screen < 0 || d.screen > 65535 {
			t.Errorf("%q: %+v", name, d)
		}
		again, err := parseDisplay(":" + d.number + "." + strconv.Itoa(d.screen))
		d.dotted = true
		if err != nil || again != d {
			t.Errorf("%q: %+v, then %+v, %v", name, d, again, err)
		}
	})
}

// Rule: each screen of a server has a name, whichever one is known.
func TestX11Screen(t *testing.T) {
	for name, want := range map[string]string{
		":1": ":1.2", ":1.0": ":1.2", "unix:3.7": "unix:3.2",
		"/tmp/.X11-unix/X1": "/tmp/.X11-unix/X1.2", "/run/m.1/X1.0": "/run/m.1/X1.2",
	} {
		if got, err := X11Screen(name, 2); err != nil || got != want {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	if got, err := X11Screen("example.org:0", 0); err == nil {
		t.Errorf("another machine's: %q", got)
	}
}
