package talk

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// A contestant is this program again, as a test's environment says.
const roleVariable = "PORTWARD_BENCH_TALK"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "":
		os.Exit(m.Run())
	case "honest":
		if Serve(Each(func() (time.Duration, error) { return time.Second, nil })) != nil {
			os.Exit(1)
		}
	case "broken":
		os.Stderr.WriteString("no such display\n")
		os.Exit(3)
	case "silent":
		select {}
	}
}

func start(t *testing.T, role string) *Process {
	t.Helper()
	t.Setenv(roleVariable, role)
	p, err := Command{Path: "/proc/self/exe"}.Start()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Rule: a contestant that dies is an error, in its own words.
func TestBroken(t *testing.T) {
	p := start(t, "broken")
	if s, err := p.Ask(t.Context(), 5); err == nil || !strings.Contains(err.Error(), "no such display") {
		t.Errorf("%v, %v", s, err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("closing what is dead: %v", err)
	}
}

// Rule: the end of the context ends the wait for one that says nothing, and it.
func TestSilent(t *testing.T) {
	p := start(t, "silent")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Ask(ctx, 5); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := p.Close(); err == nil {
		t.Error("it ended by itself")
	}
}

// Rule: an honest one answers what it was asked for, as often as it is asked.
func TestHonest(t *testing.T) {
	p := start(t, "honest")
	for n := range 40 {
		got, err := p.Ask(t.Context(), n)
		if err != nil || len(got) != n {
			t.Fatalf("asked for %d: %v, %v", n, got, err)
		}
		for _, s := range got {
			if s != 1 {
				t.Fatalf("a sample of %v", s)
			}
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
