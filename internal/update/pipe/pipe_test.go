package pipe

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a fetcher that answers what it was told to, and remembers what it
// was asked.
type fake struct {
	asked string
	data  []byte
	plan  Plan
	err   error
	told  [][2]int64
	wrote error // of the last write
}

func (f *fake) Get(name string, max int64, have string) ([]byte, error) {
	f.asked = fmt.Sprintf("get %s %d %s", name, max, have)
	return f.data, f.err
}

func (f *fake) Prepare(w Want) (Plan, error) {
	f.asked = fmt.Sprintf("prepare %+v", w)
	return f.plan, f.err
}

func (f *fake) File(c File, whole bool, to io.Writer, told func(done, total int64)) error {
	f.asked = fmt.Sprintf("file %+v %v", c, whole)
	for _, t := range f.told {
		told(t[0], t[1])
	}
	_, f.wrote = to.Write(f.data)
	return f.err
}

// connect answers a client of s; both end with the test.
func connect(t *testing.T, s Server) *Client {
	t.Helper()
	askR, askW := io.Pipe()
	answerR, answerW := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(askR, answerW, s) }()
	t.Cleanup(func() {
		askW.Close()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return NewClient(answerR, askW)
}

// Rule: what one side says is what the other hears, for all three questions.
func TestThereAndBack(t *testing.T) {
	f := &fake{data: []byte("bytes"), plan: Plan{Download: 3, Scratch: 4}, told: [][2]int64{{1, 9}, {9, 9}}}
	c := connect(t, f)
	got, err := c.Get("metadata/timestamp.json", 10, "9f86")
	if err != nil || string(got) != "bytes" || f.asked != "get metadata/timestamp.json 10 9f86" {
		t.Errorf("%q, %v, %s", got, err, f.asked)
	}
	w := Want{Name: "n", SHA256: "ab", Size: 7, Files: []File{{"cd", 1}}, Have: []Local{{"ef", "/p"}}}
	plan, err := c.Prepare(w)
	if err != nil || plan != f.plan || f.asked != fmt.Sprintf("prepare %+v", w) {
		t.Errorf("%+v, %v, %s", plan, err, f.asked)
	}
	for _, whole := range []bool{false, true} {
		var b bytes.Buffer
		var told [][2]int64
		err = c.File(File{"cd", 5}, whole, &b, func(done, total int64) { told = append(told, [2]int64{done, total}) })
		if err != nil || b.String() != "bytes" || f.asked != fmt.Sprintf("file {SHA256:cd Size:5} %v", whole) || !reflect.DeepEqual(told, f.told) {
			t.Errorf("%q, %v, %s, %v", b.String(), err, f.asked, told)
		}
	}
	if err := c.File(File{"cd", 5}, false, io.Discard, nil); err != nil {
		t.Errorf("nobody wants to be told: %v", err)
	}
}

// Rule: content of any size comes as it is: of none, of a chunk, and of more
// than a word may carry.
func TestSizes(t *testing.T) {
	for _, n := range []int{0, 1, maxChunk - 1, maxChunk, maxChunk + 1, 3*maxChunk + 7} {
		f := &fake{data: bytes.Repeat([]byte{'\n'}, n)}
		var b bytes.Buffer
		if err := connect(t, f).File(File{"", int64(n)}, false, &b, nil); err != nil || !bytes.Equal(b.Bytes(), f.data) {
			t.Errorf("%d: %d bytes, %v", n, b.Len(), err)
		}
	}
}

// Rule: the errors that a caller branches on cross by name, the text of all of
// them as one short line, and the next question is answered.
func TestErrors(t *testing.T) {
	for _, e := range []error{ErrSame, ErrNotFound, ErrOffline, ErrNoSpace, ErrCorrupt} {
		f := &fake{err: fmt.Errorf("sending: %w: tls \x1b[31m\nfailed %s", e, strings.Repeat("é", 500))}
		c := connect(t, f)
		_, getErr := c.Get("n", 10, "")
		_, prepareErr := c.Prepare(Want{Name: "n"})
		for _, err := range []error{getErr, prepareErr, c.File(File{}, false, io.Discard, nil)} {
			if !errors.Is(err, e) {
				t.Errorf("%v instead of %v", err, e)
			}
			if text := err.Error(); len(text) > 300 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%d bytes of text: %q", len(text), text)
			}
		}
		for other := range names {
			if names[other] != e && errors.Is(getErr, names[other]) {
				t.Errorf("%v is also %v", getErr, names[other])
			}
		}
	}
	f := &fake{err: errors.New("something else")}
	_, err := connect(t, f).Get("n", 10, "")
	if err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("%v", err)
	}
}

// Rule: an error after bytes is an error, and the pipe stays usable.
func TestErrorAfterBytes(t *testing.T) {
	f := &fake{data: []byte("half"), err: ErrCorrupt}
	c := connect(t, f)
	if err := c.File(File{"", 8}, false, io.Discard, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
	f.err, f.data = nil, []byte("12345678")
	if err := c.File(File{"", 8}, false, io.Discard, nil); err != nil {
		t.Errorf("%v", err)
	}
}

// Rule: too few bytes are wrong bytes; too many are never written, and end the
// pipe.
func TestOtherSizes(t *testing.T) {
	f := &fake{data: []byte("1234")}
	if err := connect(t, f).File(File{"", 5}, false, io.Discard, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("too few: %v", err)
	}
	for name, answers := range map[string]string{
		"at once":     `{"n":6}` + "\n123456{\"end\":true}\n",
		"little ones": `{"n":3}` + "\n123" + `{"n":3}` + "\n456{\"end\":true}\n",
	} {
		var b bytes.Buffer
		c := NewClient(strings.NewReader(answers), io.Discard)
		if err := c.File(File{"", 5}, false, &b, nil); err == nil || b.Len() > 5 {
			t.Errorf("%s: %d bytes, %v", name, b.Len(), err)
		}
		c = NewClient(strings.NewReader(answers), io.Discard)
		if got, err := c.Get("n", 5, ""); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Rule: no more than MaxGet is asked for or read by Get, whatever the caller
// wants, and never less than nothing.
func TestMaxGet(t *testing.T) {
	f := &fake{}
	c := connect(t, f)
	for max, want := range map[int64]int64{MaxGet + 1: MaxGet, 1 << 60: MaxGet, 5: 5, 0: 0, -5: 0} {
		if _, err := c.Get("n", max, ""); err != nil || f.asked != fmt.Sprintf("get n %d ", want) {
			t.Errorf("%d: %v, %q", max, err, f.asked)
		}
	}
	var out bytes.Buffer
	if err := Serve(strings.NewReader(`{"op":"get","name":"n","max":99999999999}`+"\n"), &out, f); err != nil || f.asked != fmt.Sprintf("get n %d ", MaxGet) {
		t.Errorf("%v, %q", err, f.asked)
	}
}

// hostile are answers that no fetcher of ours gives.
func hostile() map[string]string {
	return map[string]string{
		"nothing":           "",
		"no end":            `{"n":1}` + "\nx",
		"half a word":       `{"n":`,
		"half the bytes":    `{"n":5}` + "\nx",
		"no newline":        `{"end":true}`,
		"no JSON":           "hello\n",
		"two values":        `{"end":true}{"end":true}` + "\n",
		"an array":          "[]\n",
		"a number":          "1\n",
		"null":              "null\nnull\n",
		"negative":          `{"n":-1}` + "\n",
		"huge":              `{"n":9223372036854775807}` + "\n",
		"more than a chunk": fmt.Sprintf(`{"n":%d}`, maxChunk+1) + "\n",
		"more than int64":   `{"n":99999999999999999999}` + "\n",
		"a float":           `{"n":1.5}` + "\n",
		"endless line":      strings.Repeat("x", maxWord+maxWord/2),
		"zero bytes":        "\x00\x00\n",
		"unknown field":     `{"end":true,"also":1}` + "\n",
		"other case":        `{"END":true}` + "\n",
		"unknown error":     `{"error":"strange","text":"` + strings.Repeat("x", 1000) + `"}` + "\n",
		"bytes and an end":  `{"n":1,"end":true}` + "\nx" + `{"end":true}` + "\n",
		"error and an end":  `{"error":"same","end":true}` + "\n",
		"plan in a file":    `{"plan":{"download":1,"scratch":1}}` + "\n",
		"progress for ever": strings.Repeat(`{"done":1,"total":2}`+"\n", 3),
		"negative progress": `{"done":-5,"total":-7}` + "\n" + `{"done":9,"total":2}` + "\n" + `{"end":true}` + "\n",
		"negative plan":     `{"plan":{"download":-1,"scratch":1}}` + "\n",
		"negative scratch":  `{"plan":{"download":1,"scratch":-1}}` + "\n",
		"empty plan":        `{}` + "\n",
		"deep":              strings.Repeat("[", 1<<20) + "\n",
	}
}

// Rule: whatever a fetcher answers, there is an error or what was asked for,
// within its bounds, and progress makes sense.
func TestHostileAnswers(t *testing.T) {
	for name, answers := range hostile() {
		t.Run(name, func(t *testing.T) { ask3(t, []byte(answers)) })
	}
}

// ask3 asks everything of a fetcher that answers that.
func ask3(t *testing.T, answers []byte) {
	t.Helper()
	if got, err := NewClient(bytes.NewReader(answers), io.Discard).Get("n", 100, ""); err == nil && len(got) > 100 {
		t.Errorf("%d bytes", len(got))
	}
	if plan, err := NewClient(bytes.NewReader(answers), io.Discard).Prepare(Want{}); err == nil && (plan.Download < 0 || plan.Scratch < 0) {
		t.Errorf("%+v", plan)
	}
	var b bytes.Buffer
	err := NewClient(bytes.NewReader(answers), io.Discard).File(File{"", 5}, false, &b, func(done, total int64) {
		if done < 0 || done > total {
			t.Errorf("%d of %d", done, total)
		}
	})
	if b.Len() > 5 || err == nil && b.Len() != 5 {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}

// Rule: each of these is refused, not guessed at.
func TestRefusedAnswers(t *testing.T) {
	all := hostile()
	for _, name := range []string{"nothing", "no end", "half a word", "no newline", "no JSON", "two values", "an array", "a number", "negative",
		"huge", "more than a chunk", "more than int64", "endless line", "unknown field", "unknown error", "bytes and an end", "error and an end",
		"plan in a file", "progress for ever", "null", "empty plan", "deep"} {
		if got, err := NewClient(strings.NewReader(all[name]), io.Discard).Get("n", 100, ""); err == nil {
			t.Errorf("%s: %q", name, got)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
	}
	for _, name := range []string{"negative plan", "negative scratch", "empty plan", "null", "progress for ever"} {
		if plan, err := NewClient(strings.NewReader(all[name]), io.Discard).Prepare(Want{}); err == nil {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}

// Rule: a line that does not end is not kept in memory beyond the bound.
func TestEndlessLine(t *testing.T) {
	endless := &repeating{text: "x"}
	if _, err := NewClient(endless, io.Discard).Get("n", 100, ""); err == nil || endless.n > 2*maxWord {
		t.Errorf("%v after %d bytes", err, endless.n)
	}
	endless = &repeating{text: "x"}
	if err := Serve(endless, io.Discard, &fake{}); err == nil || endless.n > 2*maxWord {
		t.Errorf("%v after %d bytes", err, endless.n)
	}
}

// repeating answers a text again and again, and counts its bytes.
type repeating struct {
	text string
	n    int
}

func (r *repeating) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.n%len(r.text)]
		r.n++
	}
	return len(p), nil
}

// Rule: a question that no client of ours asks ends the fetcher or is answered
// with an error.
func TestHostileQuestions(t *testing.T) {
	for name, q := range map[string]string{
		"no JSON": "hello\n", "half": `{"op":"get"`, "array": "[]\n", "other type": `{"op":5}` + "\n", "unknown field": `{"op":"get","also":1}` + "\n",
	} {
		if err := Serve(strings.NewReader(q), io.Discard, &fake{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for name, q := range map[string]string{"no operation": "{}\n", "unknown": `{"op":"rm"}` + "\n"} {
		var out bytes.Buffer
		if err := Serve(strings.NewReader(q), &out, &fake{}); err != nil || !strings.Contains(out.String(), `"error":"other"`) {
			t.Errorf("%s: %v, %s", name, err, out.String())
		}
	}
}

// Rule: a client that is gone ends the serving, and the server is told in its
// next write; one that has asked nothing yet is no error.
func TestClientGone(t *testing.T) {
	gone := errors.New("gone")
	f := &fake{data: []byte("bytes"), told: [][2]int64{{1, 2}}}
	for op, reach := range map[string]bool{"get": false, "file": true, "prepare": false} {
		f.wrote = nil
		err := Serve(strings.NewReader(`{"op":"`+op+`"}`+"\n"), failing{gone}, f)
		if !errors.Is(err, gone) || reach && !errors.Is(f.wrote, gone) {
			t.Errorf("%s: %v, %v", op, err, f.wrote)
		}
	}
	if err := Serve(strings.NewReader(""), failing{gone}, f); err != nil {
		t.Error(err)
	}
	c := NewClient(strings.NewReader(""), failing{gone})
	if _, err := c.Prepare(Want{}); !errors.Is(err, gone) {
		t.Error(err)
	}
	if _, err := c.Get("n", 1, ""); !errors.Is(err, gone) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Rule: whoever asked for no progress is told of none, and nobody is told of it
// without end.
func TestTalkative(t *testing.T) {
	progress := `{"done":1,"total":2}` + "\n"
	if _, err := NewClient(strings.NewReader(progress+`{"end":true}`+"\n"), io.Discard).Get("n", 100, ""); err == nil {
		t.Error("progress of a get")
	}
	for _, told := range []func(_, _ int64){nil, func(_, _ int64) {}} {
		endless := &repeating{text: progress}
		if err := NewClient(endless, io.Discard).File(File{"", 5}, false, io.Discard, told); err == nil || endless.n > 4<<20 {
			t.Errorf("%v after %d bytes", err, endless.n)
		}
	}
	const size = 4 << 20
	endless := &repeating{text: `{"n":1}` + "\nx"}
	if err := NewClient(endless, io.Discard).File(File{"", size}, false, io.Discard, nil); err == nil || endless.n > size {
		t.Errorf("%v after %d bytes", err, endless.n)
	}
}

// Rule: when the caller's context ends, and closes the pipe, so does the question.
func TestCancelled(t *testing.T) {
	for name, ask := range map[string]func(*Client) error{
		"get":     func(c *Client) error { _, err := c.Get("n", 100, ""); return err },
		"prepare": func(c *Client) error { _, err := c.Prepare(Want{}); return err },
		"file":    func(c *Client) error { return c.File(File{"", 5}, false, io.Discard, func(_, _ int64) {}) },
		"full":    func(c *Client) error { _, err := c.Prepare(Want{Name: strings.Repeat("x", maxWord/2)}); return err },
	} {
		askR, askW, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		answerR, answerW, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		context.AfterFunc(ctx, func() { answerR.Close(); askW.Close() })
		ended := make(chan error, 1)
		go func() { ended <- ask(NewClient(answerR, askW)) }()
		askR.Read(make([]byte, 1)) // it has asked
		cancel()
		if err := <-ended; err == nil {
			t.Errorf("%s: no error", name)
		}
		askR.Close()
		answerW.Close()
	}
}

// Rule: an error of who takes the bytes is answered as it is: it is the caller's
// disk, not the fetcher.
func TestWriterFails(t *testing.T) {
	full := errors.New("full")
	c := NewClient(strings.NewReader(`{"n":5}`+"\n12345"+`{"end":true}`+"\n"), io.Discard)
	if err := c.File(File{"", 5}, false, failing{full}, nil); !errors.Is(err, full) {
		t.Error(err)
	}
}

// Rule: a list of two large bundles fits into one word, and one that does not
// is refused by whoever asks.
func TestLargeWant(t *testing.T) {
	f := &fake{}
	w := Want{Name: "n"}
	for i := range 4096 {
		w.Files = append(w.Files, File{strings.Repeat("a", 64), int64(i)})
		w.Have = append(w.Have, Local{strings.Repeat("b", 64), "/usr/local/lib/portward/Portward.app/Contents/Resources/something"})
	}
	if _, err := connect(t, f).Prepare(w); err != nil || f.asked != fmt.Sprintf("prepare %+v", w) {
		t.Errorf("%v", err)
	}
	w.Name = strings.Repeat("x", maxWord)
	if _, err := NewClient(strings.NewReader(""), io.Discard).Prepare(w); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
}

// Rule: no answer makes a client panic, or give more than was asked for.
func FuzzClient(f *testing.F) {
	for _, answers := range hostile() {
		if len(answers) < 1000 {
			f.Add([]byte(answers))
		}
	}
	f.Add([]byte(`{"n":5}` + "\n12345" + `{"done":1,"total":2}` + "\n" + `{"end":true}` + "\n"))
	f.Add([]byte(`{"plan":{"download":1,"scratch":2}}` + "\n"))
	f.Fuzz(func(t *testing.T, answers []byte) { ask3(t, answers) })
}

// Rule: no question makes a fetcher panic, and all that it answers is words that
// a client reads.
func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"op":"get","name":"metadata/timestamp.json","max":16384,"held":"9f86"}` + "\n"))
	f.Add([]byte(`{"op":"prepare","name":"n","sha256":"a","size":1,"want":[{"sha256":"b","size":2}],"have":[{"sha256":"c","path":"/d"}]}` + "\n"))
	f.Add([]byte(`{"op":"file","sha256":"b","size":2,"whole":true}` + "\n" + `{"op":""}` + "\n"))
	f.Fuzz(func(t *testing.T, questions []byte) {
		var out bytes.Buffer
		server := &fake{data: []byte("\n{}\n"), told: [][2]int64{{-1, -1}, {5, 3}}}
		if len(questions)%3 == 0 {
			server.err = ErrOffline
		}
		_ = Serve(bytes.NewReader(questions), &out, server)
		for r := bufio.NewReader(&out); ; {
			var a answer
			if err := readWord(r, &a); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("%v in what it answered", err)
			}
			if _, err := r.Discard(int(a.N)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Rule: bytes that arrive in whatever portions make the same words.
func TestPortions(t *testing.T) {
	for seed := range uint64(50) {
		answers := `{"done":1,"total":2}` + "\n" + `{"n":5}` + "\n12345" + `{"n":2}` + "\n\n\n" + `{"end":true}` + "\n"
		var b bytes.Buffer
		c := NewClient(&portions{strings.NewReader(answers), rand.New(rand.NewPCG(seed, 1))}, io.Discard)
		if err := c.File(File{"", 7}, false, &b, nil); err != nil || b.String() != "12345\n\n" {
			t.Errorf("seed %d: %q, %v", seed, b.String(), err)
		}
	}
}

type portions struct {
	r io.Reader
	n *rand.Rand
}

func (p *portions) Read(b []byte) (int, error) { return p.r.Read(b[:min(len(b), 1+p.n.IntN(4))]) }
