package jobs

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func fifo(t *testing.T, mode uint32) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	want(t, syscall.Mkfifo(path, mode), nil)
	want(t, os.Chmod(path, os.FileMode(mode)), nil)
	return path
}

// Rule: what is no FIFO of this user's alone is not opened, and a variable that says
// something else is an error.
func TestPipeRefuses(t *testing.T) {
	good, file, link := fifo(t, 0o600), filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "link")
	want(t, os.WriteFile(file, nil, 0o600), nil)
	want(t, os.Symlink(good, link), nil)
	for name, value := range map[string]string{
		"nothing": "", "no name": "=" + good, "no path": "a", "a relative path": "a=pipe", "a file": "a=" + file, "a link": "a=" + link,
		"a directory": "a=" + t.TempDir(), "nothing there": "a=" + good + ".2", "a device": "a=/dev/null", "others may write": "a=" + fifo(t, 0o622),
		"a name that is taken": "b=" + good,
	} {
		t.Setenv(PipeVariable, value)
		if files, err := inheritPipe(map[string]*os.File{"b": os.Stdin}); err == nil || len(files) != 1 {
			t.Errorf("%s: %v, %v", name, files, err)
		}
		if _, there := os.LookupEnv(PipeVariable); there {
			t.Errorf("%s: a child would see it", name)
		}
	}
}

// Rule: a job finds the pipe by its name, beside what else it inherited; nobody has
// to be at the other end, and what was written before is read.
func TestPipe(t *testing.T) {
	path := fifo(t, 0o600)
	t.Setenv(PipeVariable, "portward-x="+path)
	files, err := Inherited()
	want(t, err, nil)
	f := files["portward-x"]
	if f == nil || len(files) != 1 {
		t.Fatalf("%v", files)
	}
	defer f.Close()
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	want(t, err, nil)
	_, err = w.Write([]byte("c"))
	want(t, err, nil)
	w.Close()
	b := make([]byte, 2)
	if n, err := f.Read(b); err != nil || string(b[:n]) != "c" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if files, err := Inherited(); len(files) != 0 || err != nil {
		t.Errorf("again: %v, %v", files, err)
	}
}
