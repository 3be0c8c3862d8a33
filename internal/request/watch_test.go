package request

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const patience = 20 * time.Second

type refusal struct {
	id  string
	err error
}

// desk is who takes requests.
type desk struct {
	t       *testing.T
	dir     string
	taken   chan Request
	refused chan refusal
	cancel  context.CancelFunc
	ended   chan error
}

// watch opens a desk that ends, without a trace, when the test does.
func watch(t *testing.T, dir string) *desk {
	t.Helper()
	leaks := goleak.IgnoreCurrent()
	d := &desk{t: t, dir: dir, taken: make(chan Request, 1000), refused: make(chan refusal, 1000), ended: make(chan error, 1)}
	var ctx context.Context
	ctx, d.cancel = context.WithCancel(context.Background())
	go func() {
		d.ended <- Watch(ctx, dir, func(r Request) { d.taken <- r }, func(id string, err error) { d.refused <- refusal{id, err} })
	}()
	t.Cleanup(func() {
		d.close()
		goleak.VerifyNone(t, leaks)
	})
	return d
}

// close ends the watching; twice is as good as once.
func (d *desk) close() {
	d.t.Helper()
	d.cancel()
	select {
	case err := <-d.ended:
		d.ended <- nil
		if err != nil {
			d.t.Error(err)
		}
	case <-time.After(patience):
		d.t.Fatal("the watch does not end")
	}
}

func next[T any](t *testing.T, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatalf("no %s came", what)
	}
	return v
}

func (d *desk) take(id string) {
	d.t.Helper()
	if r := next(d.t, "request", d.taken); r.ID != id {
		d.t.Fatalf("%+v came, want %s", r, id)
	}
}

func (d *desk) refuse(id string) error {
	d.t.Helper()
	r := next(d.t, "refusal", d.refused)
	if r.id != id {
		d.t.Fatalf("%q was refused (%v), want %q", r.id, r.err, id)
	}
	return r.err
}

func submit(t *testing.T, dir, op string) string {
	t.Helper()
	id, err := Submit(dir, Request{Op: op})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// lay puts a file there in one step, as Submit does, whatever it contains.
func lay(t *testing.T, dir, name, data string) {
	t.Helper()
	temp := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(temp, []byte(data), 0o600))
	must(t, os.Rename(temp, filepath.Join(dir, name)))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func folderOf(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "requests")
	must(t, os.Mkdir(dir, 0o700))
	return dir
}

func names(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Rule: a folder that others could enter, own or point elsewhere is not
// watched.
func TestFolderOfOthers(t *testing.T) {
	for name, make := range map[string]func(dir string) error{
		"others may read":  func(dir string) error { return os.Mkdir(dir, 0o755) },
		"others may enter": func(dir string) error { return os.Mkdir(dir, 0o711) },
		"group may write":  func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o720)) },
		"a file":           func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"a link":           func(dir string) error { return os.Symlink(t.TempDir(), dir) },
		"somebody else's":  othersFolder,
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			dir := filepath.Join(t.TempDir(), "requests")
			if err := make(dir); errors.Is(err, errNeedsRoot) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			if err := Watch(t.Context(), dir, func(Request) {}, func(string, error) {}); err == nil || !strings.Contains(err.Error(), dir) {
				t.Errorf("error %v", err)
			}
		})
	}
}

var errNeedsRoot = errors.New("needs root to give a file away")

func othersFolder(dir string) error {
	if os.Geteuid() != 0 {
		return errNeedsRoot
	}
	return errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, 4711, 4711))
}

// Rule: what is no request, or no plain file of ours alone, is told, set aside
// and never handed over; the next request is.
func TestRefuses(t *testing.T) {
	const good = `{"op":"update"}` + "\n"
	into := func(data string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(data), 0o600) }
	}
	for name, make := range map[string]func(path string) error{
		"an empty file": into(""),
		"a torn file":   into(good[:5]),
		"a huge file":   into(good + strings.Repeat("\n", 1<<20)),
		"a link to a request": func(path string) error {
			return errors.Join(into(good)(path+".other"), os.Symlink(path+".other", path))
		},
		"a dead link": func(path string) error { return os.Symlink("/none", path) },
		"a pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"a file with another name": func(path string) error {
			return errors.Join(into(good)(path+".other"), os.Link(path+".other", path))
		},
		"a file that others may write": func(path string) error {
			return errors.Join(into(good)(path), os.Chmod(path, 0o622))
		},
		"somebody else's": func(path string) error {
			if os.Geteuid() != 0 {
				return errNeedsRoot
			}
			return errors.Join(into(good)(path), os.Chown(path, 4711, 4711))
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := watch(t, folderOf(t))
			d.take(submit(t, d.dir, "check"))
			temp := filepath.Join(t.TempDir(), "f")
			if err := make(temp); errors.Is(err, errNeedsRoot) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			must(t, os.Rename(temp, filepath.Join(d.dir, someID+suffix)))
			if err := d.refuse(someID); err == nil {
				t.Error("no reason")
			}
			d.take(submit(t, d.dir, "rollback"))
			d.close()
			if left := names(t, d.dir); !slices.Equal(left, []string{bad + someID}) {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// Rule: a name that is no ID is refused without one; names with a dot in front
// are nobody's request.
func TestStrangeNames(t *testing.T) {
	d := watch(t, folderOf(t))
	d.take(submit(t, d.dir, "check"))
	for _, name := range []string{"x", "x.json", someID, someID + ".JSON", someID + ".json~", strings.Repeat("n", 255)} {
		lay(t, d.dir, name, `{"op":"update"}`+"\n")
		if err := d.refuse(""); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), name[:min(len(name), 40)]) {
			t.Errorf("%q: %v", name, err)
		}
	}
	lay(t, d.dir, ".hidden.json", `{"op":"update"}`+"\n")
	lay(t, d.dir, "."+someID+".json", `{"op":"update"}`+"\n")
	d.take(submit(t, d.dir, "rollback"))
	if len(d.refused)+len(d.taken) > 0 {
		t.Error("something else came")
	}
}

// Rule: what was set aside does not grow for ever; somebody's directory is
// never emptied.
func TestBadsAreBounded(t *testing.T) {
	d := watch(t, folderOf(t))
	d.take(submit(t, d.dir, "check"))
	temp := filepath.Join(t.TempDir(), "d")
	must(t, os.Mkdir(temp, 0o700))
	must(t, os.WriteFile(filepath.Join(temp, "precious"), nil, 0o600))
	must(t, os.Rename(temp, filepath.Join(d.dir, someID+suffix)))
	d.refuse(someID)
	for i := range keepBads + 5 {
		lay(t, d.dir, fmt.Sprint(i), "")
		d.refuse("")
	}
	left := names(t, d.dir)
	if len(left) != keepBads+1 {
		t.Errorf("%d are left: %q", len(left), left)
	}
	if _, err := os.Stat(filepath.Join(d.dir, bad+someID, "precious")); err != nil {
		t.Error(err)
	}
}

// Rule: a request is handed over at most once: one that an earlier watcher had
// claimed is refused as interrupted, once.
func TestInterrupted(t *testing.T) {
	dir := folderOf(t)
	id := submit(t, dir, "rollback")
	must(t, os.Rename(filepath.Join(dir, id+suffix), filepath.Join(dir, claimed+id)))
	d := watch(t, dir)
	if err := d.refuse(id); !errors.Is(err, ErrInterrupted) {
		t.Error(err)
	}
	d.take(submit(t, dir, "check"))
	d.close()
	again := watch(t, dir)
	again.take(submit(t, dir, "check"))
	if len(again.refused) > 0 || len(d.taken) > 0 {
		t.Error("it came again")
	}
}

// Rule: the claim is there while the request is handed over, and afterwards
// nothing is.
func TestClaimedWhileHandedOver(t *testing.T) {
	dir := folderOf(t)
	id := submit(t, dir, "update")
	ctx, cancel := context.WithCancel(t.Context())
	var seen []string
	must(t, Watch(ctx, dir, func(Request) { seen = names(t, dir); cancel() }, func(id string, err error) { t.Error(id, err) }))
	if !slices.Equal(seen, []string{claimed + id}) {
		t.Errorf("during: %q", seen)
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("afterwards: %q", left)
	}
}

// Rule: nothing is submitted that would not be taken, and a missing folder is
// an error, not made.
func TestSubmitRefuses(t *testing.T) {
	dir := folderOf(t)
	for _, r := range []Request{{}, {Op: "roll back"}, {Op: "unblock", Arg: "a\nb"}, {Op: "unblock", Arg: "\xff"}, {Op: "unblock", Arg: strings.Repeat("a", maxArg+1)}} {
		if id, err := Submit(dir, r); !errors.Is(err, ErrMalformed) || id != "" {
			t.Errorf("%+v: %q, %v", r, id, err)
		}
	}
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	none := filepath.Join(dir, "none")
	if _, err := Submit(none, Request{Op: "check"}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(none); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the folder was made")
	}
}

// Rule: only its owner can read what is submitted, and the ID given is new
// whatever the caller says.
func TestSubmit(t *testing.T) {
	dir := folderOf(t)
	id, err := Submit(dir, Request{ID: someID, Op: "unblock", Arg: "1.2.3"})
	if err != nil || id == someID {
		t.Fatal(id, err)
	}
	info, err := os.Stat(filepath.Join(dir, id+suffix))
	if err != nil || info.Mode() != 0o600 {
		t.Fatal(info, err)
	}
}

// Rule: what was withdrawn is never handed over, and what was handed over
// cannot be withdrawn.
func TestWithdraw(t *testing.T) {
	dir := folderOf(t)
	first, second := submit(t, dir, "update"), submit(t, dir, "check")
	must(t, Withdraw(dir, first))
	d := watch(t, dir)
	d.take(second)
	for _, id := range []string{first, second} {
		if err := Withdraw(dir, id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("withdrawing again: %v", err)
		}
	}
	if err := Withdraw(dir, "../requests/x"); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

// Rule: what was laid while nobody watched is taken first, in its order; what
// killed writers left is swept.
func TestStartUp(t *testing.T) {
	dir := folderOf(t)
	must(t, os.WriteFile(filepath.Join(dir, ".tmp-killed"), []byte("{"), 0o600))
	var ids []string
	for range 5 {
		ids = append(ids, submit(t, dir, "update"))
	}
	d := watch(t, dir)
	for _, id := range ids {
		d.take(id)
	}
	d.take(submit(t, dir, "check"))
	d.close()
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// Rule: the folder is made when it is missing, for nobody else, and made and
// watched again when it goes away.
func TestFolderIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "requests")
	d := watch(t, dir)
	made := func() {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			if info, err := os.Stat(dir); err == nil && info.Mode() == fs.ModeDir|0o700 {
				return
			} else if time.Now().After(end) {
				t.Fatal(info, err)
			}
		}
	}
	made()
	d.take(submit(t, dir, "check"))
	must(t, os.Rename(dir, dir+".old"))
	made()
	d.take(submit(t, dir, "check"))
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // until the last claim is removed
		if err := os.Remove(dir); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	made()
	d.take(submit(t, dir, "check"))
}

// Rule: however many submit, and however often the watcher is another one,
// each request is handed over exactly once.
func TestManySubmitters(t *testing.T) {
	const submitters, each = 4, 15
	dir := folderOf(t)
	ids := make(chan string, submitters*each)
	var wg sync.WaitGroup
	for range submitters {
		wg.Go(func() {
			for range each {
				id, err := Submit(dir, Request{Op: "update"})
				if err != nil {
					t.Error(err)
				}
				ids <- id
			}
		})
	}
	want, got := map[string]bool{}, map[string]bool{}
	for len(got) < submitters*each && !t.Failed() {
		d := watch(t, dir)
		for range min(10, submitters*each-len(got)) {
			r := next(t, "request", d.taken)
			if got[r.ID] {
				t.Errorf("%s came twice", r.ID)
			}
			got[r.ID] = true
		}
		d.close()
		for len(d.taken) > 0 {
			got[(<-d.taken).ID] = true
		}
		if len(d.refused) > 0 {
			t.Errorf("refused: %v", <-d.refused)
		}
	}
	wg.Wait()
	close(ids)
	for id := range ids {
		want[id] = true
	}
	if len(want) != submitters*each || len(got) != len(want) {
		t.Errorf("%d submitted, %d taken", len(want), len(got))
	}
}
