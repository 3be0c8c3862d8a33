package program

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func script(t *testing.T, text string, args ...string) *Child {
	t.Helper()
	return &Child{Path: "/bin/sh", Args: append([]string{"-c", text, "sh"}, args...)}
}

// Rule: a child knows where the product is, and nothing else of its parent.
func TestChildEnvironment(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Setenv("PORTWARD_PLANTED", "secret")
	var out bytes.Buffer
	c := script(t, `env; pwd; echo the last line >&2; exit 3`)
	c.Out, c.Env = &out, []string{"MORE=1"}
	p := &Program{Root: "/some/root", suffix: ".up"}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := p.StartChild(ctx, c); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(ctx); err == nil || !strings.HasSuffix(err.Error(), ": the last line") {
		t.Errorf("ended with %v", err)
	}
	for _, want := range []string{"PORTWARD_ROOT=/some/root\n", NamesVariable + "=.up\n", "MORE=1\n", "\n/\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "secret") {
		t.Error("it has its parent's environment")
	}
}

// Rule: a child that is not there is an error at once.
func TestChildThatIsNotThere(t *testing.T) {
	defer goleak.VerifyNone(t)
	if err := (&Program{Root: "/"}).StartChild(t.Context(), &Child{Path: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Skip("a shell stands before it")
	}
}

// Rule: a child ends with its context, and whom it has started with it.
func TestChildEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	told := filepath.Join(t.TempDir(), "pid")
	c := script(t, `sleep 600 & echo $! > "$1.new"; mv "$1.new" "$1"; wait`, told)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := (&Program{Root: "/"}).StartChild(ctx, c); err != nil {
		t.Fatal(err)
	}
	var text []byte
	for end := time.Now().Add(time.Minute); text == nil && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		text, _ = os.ReadFile(told)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := c.Wait(ctx); err == nil || !strings.Contains(err.Error(), "took too long") {
		t.Errorf("ended with %v", err)
	}
	for end := time.Now().Add(time.Minute); runs(grandchild); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("what it started runs on")
		}
	}
}

// runs tells whether that process is there and no zombie.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// Rule: a child that is spoken to answers, ends when nobody speaks to it any more,
// and its end is told in its own words.
func TestTalk(t *testing.T) {
	defer goleak.VerifyNone(t)
	c := script(t, `read word; echo "heard $word"; while read word; do :; done; echo nobody speaks >&2; exit 3`)
	hear, say, end, err := (&Program{Root: "/"}).Talk(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(say, "this\n"); err != nil {
		t.Error(err)
	}
	if line, err := bufio.NewReader(hear).ReadString('\n'); line != "heard this\n" || err != nil {
		t.Errorf("heard %q, %v", line, err)
	}
	if err := end(); err == nil || !strings.HasSuffix(err.Error(), ": nobody speaks") {
		t.Errorf("ended with %v", err)
	}
}

// Rule: a child that does not end when it should is ended, and one that is not
// waited for any longer is not heard any longer.
func TestTalkWithTheDeaf(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithCancel(t.Context())
	hear, _, end, err := (&Program{Root: "/"}).Talk(ctx, script(t, `sleep 600 & wait`))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if text, err := io.ReadAll(hear); len(text) > 0 || err == nil {
		t.Errorf("heard %q, %v", text, err)
	}
	if err := end(); err == nil || !strings.Contains(err.Error(), "took too long") {
		t.Errorf("ended with %v", err)
	}
}
