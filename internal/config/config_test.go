package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, text string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(Path(root)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(Path(root), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

// Rule: no file means the shipped values.
func TestMissingFileIsDefault(t *testing.T) {
	c, err := Load(t.TempDir())
	if err != nil || c != Default() {
		t.Fatalf("Load = %+v, %v", c, err)
	}
}

// Rule: what is not in the file has its default, what is in it holds.
func TestPartialFile(t *testing.T) {
	c, err := Load(write(t, `{"version":1,"healthy":"250ms","idle":"2s"}`))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Healthy, want.Idle = Duration(250*time.Millisecond), Duration(2*time.Second)
	if c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

// Rule: a wrong file is refused with its name and the fault.
func TestRefusals(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"unknown field": {`{"version":1,"helthy":"1s"}`, "helthy"},
		"version":       {`{"version":2}`, "version 2"},
		"no unit":       {`{"version":1,"idle":"7"}`, "unit"},
		"negative":      {`{"version":1,"idle":"-1s"}`, "idle"},
		"too small":     {`{"version":1,"hang_limit":"1ms"}`, "hang_limit"},
		"crossed":       {`{"version":1,"backoff_min":"2m"}`, "backoff_max"},
		"tally":         {`{"version":1,"fast_deaths":-1}`, "fast_deaths"},
		"torn":          {`{"version":1`, "EOF"},
		"huge":          {`{"version":1}` + strings.Repeat(" ", maxSize), "larger"},
	} {
		t.Run(name, func(t *testing.T) {
			root := write(t, tc.text)
			_, err := Load(root)
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), Path(root)) {
				t.Errorf("error %v, want the file's name and %q", err, tc.want)
			}
		})
	}
}

// Rule: what Marshal writes, Load reads.
func TestRoundTrip(t *testing.T) {
	want := Default()
	want.Idle = Duration(90 * time.Second)
	b, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Load(write(t, string(b))); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}
