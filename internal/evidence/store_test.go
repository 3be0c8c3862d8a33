package evidence

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func record(life uint64) Record {
	return Record{
		Job: "system/dev.portward.netchild", Life: life, Time: time.Unix(int64(life), 0).UTC(),
		Class: "crash", Text: "killed by SIGSEGV", Uptime: 3 * time.Second, Exit: "signal: killed", Cause: "poke",
	}
}

func open(t *testing.T, dir string, limits Limits) *Store {
	t.Helper()
	s, err := Open(dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func add(t *testing.T, s *Store, life uint64, blob string) string {
	t.Helper()
	path, err := s.Add(record(life), []byte(blob))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// list answers what any process sees, after a check that the store sees the same.
func list(t *testing.T, s *Store) ([]Record, Dropped) {
	t.Helper()
	records, dropped, err := List(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	mine, mineDropped := s.List()
	if len(records)+len(mine) > 0 && !reflect.DeepEqual(records, mine) || dropped != mineDropped {
		t.Fatalf("the directory holds %+v, %+v; the store %+v, %+v", records, dropped, mine, mineDropped)
	}
	return records, dropped
}

// blobs answers how many blob files lie in dir.
func blobs(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "job-*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// Rule: what is added is listed, with the path of its evidence, and survives a
// restart; nobody else may read it.
func TestAddAndList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "evidence")
	s := open(t, dir, Limits{})
	path := add(t, s, 1, "goroutine 1 [running]")
	if add(t, s, 2, "") != "" {
		t.Fatal("a path without a blob")
	}
	for range 2 {
		records, dropped := list(t, s)
		want := []Record{record(1), record(2)}
		want[0].Blob, want[0].BlobBytes = path, 21
		if !reflect.DeepEqual(records, want) || dropped != (Dropped{}) {
			t.Fatalf("listed %+v, %+v; want %+v", records, dropped, want)
		}
		if data, err := os.ReadFile(records[0].Blob); err != nil || string(data) != "goroutine 1 [running]" {
			t.Fatalf("evidence %q, %v", data, err)
		}
		s = open(t, dir, Limits{})
	}
	for name, mode := range map[string]os.FileMode{dir: fs.ModeDir | 0o700, path: 0o600, filepath.Join(dir, indexName): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode(), err, mode)
		}
	}
}

// Rule: the oldest records go first, are counted, and the count survives.
func TestRecordsAreBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Limits{Records: 3})
	for life := range uint64(5) {
		add(t, s, life, "12345")
		if life%2 == 0 {
			s = open(t, dir, Limits{Records: 3})
		}
	}
	records, dropped := list(t, s)
	if len(records) != 3 || records[0].Life != 2 || dropped != (Dropped{Records: 2, Blobs: 2, Bytes: 10}) {
		t.Fatalf("listed %+v, %+v", records, dropped)
	}
	if n := blobs(t, dir); n != 3 {
		t.Fatalf("%d blobs", n)
	}
}

// Rule: blobs are bounded in number and bytes, without a loss of records.
func TestBlobsAreBounded(t *testing.T) {
	for name, limits := range map[string]Limits{"number": {Blobs: 2}, "bytes": {Bytes: 10}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), limits)
			for life := range uint64(5) {
				add(t, s, life, "12345")
			}
			records, dropped := list(t, s)
			if len(records) != 5 || dropped != (Dropped{Blobs: 3, Bytes: 15}) {
				t.Fatalf("listed %+v, %+v", records, dropped)
			}
			for i, r := range records {
				if lost := i < 3; r.BlobLost != lost || (r.Blob == "") != lost {
					t.Errorf("record %d: %+v", i, r)
				}
			}
			if n := blobs(t, s.dir); n != 2 {
				t.Fatalf("%d blobs", n)
			}
		})
	}
}

// Rule: a blob too long is cut, says so, and is counted.
func TestLongBlob(t *testing.T) {
	s := open(t, t.TempDir(), Limits{BlobBytes: 100})
	path := add(t, s, 1, strings.Repeat("x", 1000))
	data, err := os.ReadFile(path)
	if err != nil || len(data) != 100 || !strings.HasSuffix(string(data), "x\n[cut here: 1000 bytes in all]\n") {
		t.Fatalf("%d bytes, %q, %v", len(data), data, err)
	}
	if _, dropped := list(t, s); dropped.Bytes != uint64(1000-bytes.Count(data, []byte("x"))) {
		t.Fatalf("dropped %+v", dropped)
	}
}

// Rule: words are bounded too, and a record without a job is refused.
func TestLongWords(t *testing.T) {
	s := open(t, t.TempDir(), Limits{})
	r := record(1)
	r.Text, r.Job, r.Blob = strings.Repeat("ü", 1<<16), strings.Repeat("j", 1000), "../../etc/passwd"
	if _, err := s.Add(r, nil); err != nil {
		t.Fatal(err)
	}
	records, _ := list(t, s)
	if len(records[0].Text) != maxText || len(records[0].Job) != maxName || records[0].Blob != "" {
		t.Fatalf("kept %d bytes of text, %d of job, blob %q", len(records[0].Text), len(records[0].Job), records[0].Blob)
	}
	if _, err := s.Add(Record{}, nil); err == nil {
		t.Fatal("a record without a job was added")
	}
}

// Rule: a torn last line costs that line; it is counted, once, and what comes
// after it is whole.
func TestTornLine(t *testing.T) {
	for name, tail := range map[string]string{
		"half a record":     `{"job":"system/dev.portward.netchild","life":2,"ti`,
		"without its end":   `{"job":"a","life":2}`,
		"zeros":             string(make([]byte, 100)),
		"garbage":           "\xff\xfe garbage\n",
		"a name that leads": `{"job":"a","life":2,"blob":"../../etc/passwd"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			add(t, open(t, dir, Limits{}), 1, "x")
			file := filepath.Join(dir, indexName)
			sound, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, append(sound, tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			var s *Store
			for range 2 {
				s = open(t, dir, Limits{})
				records, dropped := list(t, s)
				if len(records) != 1 || records[0].Life != 1 || dropped != (Dropped{Torn: 1}) {
					t.Fatalf("listed %+v, %+v", records, dropped)
				}
			}
			add(t, s, 2, "y")
			if records, _ := list(t, s); len(records) != 2 || records[1].Life != 2 {
				t.Fatalf("listed %+v", records)
			}
		})
	}
}

// Rule: garbage in the middle costs itself only, in a reader's eyes too.
func TestGarbageInTheMiddle(t *testing.T) {
	dir := t.TempDir()
	const data = `{"version":1,"dropped":{"records":4}}` + "\n" + `{"job":"a","life":1}` + "\n\n{}\n" + `{"job":"a","life":2}` + "\n" + `{"job":"a","li`
	if err := os.WriteFile(filepath.Join(dir, indexName), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	records, dropped, err := List(dir)
	if err != nil || len(records) != 2 || dropped != (Dropped{Records: 4, Torn: 2}) {
		t.Fatalf("listed %+v, %+v, %v", records, dropped, err)
	}
}

// Rule: another version is refused and left alone.
func TestOtherVersion(t *testing.T) {
	dir := t.TempDir()
	const data = `{"version":2}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, indexName), []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Limits{}); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, indexName)); err != nil || string(got) != data {
		t.Fatalf("the index is now %q, %v", got, err)
	}
}

// Rule: a writer killed between blob and index leaves a file that the next one
// removes; a file that is not the store's stays.
func TestOrphans(t *testing.T) {
	dir := t.TempDir()
	path := add(t, open(t, dir, Limits{}), 1, "x")
	for _, name := range []string{"job-a-1-9.txt", ".tmp-left", "README"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, Limits{})
	for name, stays := range map[string]bool{"job-a-1-9.txt": false, ".tmp-left": false, "README": true, filepath.Base(path): true} {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
	if add(t, s, 1, "y") == path {
		t.Error("the same name was given twice")
	}
}

// Rule: a blob that is gone, or shorter than it was, is no longer promised.
func TestMissingBlob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Limits{})
	if err := os.Remove(add(t, s, 1, "gone")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(add(t, s, 2, "torn"), 0); err != nil {
		t.Fatal(err)
	}
	records, dropped := list(t, open(t, dir, Limits{}))
	if !records[0].BlobLost || !records[1].BlobLost || dropped.Blobs != 2 || blobs(t, dir) != 0 {
		t.Fatalf("listed %+v, %+v", records, dropped)
	}
}

// Rule: a job's name cannot lead its evidence out of the directory.
func TestBlobNames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Limits{})
	for _, job := range []string{"..", "a/../../b", "/", "a\x00b", "é/ü ö", strings.Repeat("x", 500), "gui/1/dev.portward.guiagent"} {
		path, err := s.Add(Record{Job: job}, []byte("x"))
		if err != nil || filepath.Dir(path) != dir || !isBlobName(filepath.Base(path)) {
			t.Errorf("job %q: %q, %v", job, path, err)
		}
	}
	if records, dropped := list(t, open(t, dir, Limits{})); len(records) != 7 || dropped != (Dropped{}) {
		t.Fatalf("listed %+v, %+v", records, dropped)
	}
}

// Rule: a reader sees each record whole and in order, while the store adds,
// drops and replaces.
func TestReadersWhileWriting(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Limits{Records: 10, Blobs: 3})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if err := consistent(dir); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for life := range uint64(60) {
		add(t, s, life, "x")
	}
	close(done)
	readers.Wait()
	if records, dropped := list(t, s); len(records) != 10 || dropped.Records != 50 || dropped.Blobs != 57 {
		t.Fatalf("listed %d, dropped %+v", len(records), dropped)
	}
}

func consistent(dir string) error {
	records, dropped, err := List(dir)
	if err != nil {
		return err
	}
	for i, r := range records {
		if want := dropped.Records + uint64(i); r.Life != want {
			return fmt.Errorf("record %d is of life %d, want %d", i, r.Life, want)
		}
	}
	if dropped.Torn != 0 {
		return fmt.Errorf("%d torn lines", dropped.Torn)
	}
	return nil
}

// Rule: no bytes make the reader panic; what it reads it can write and read
// again, and no name leads out of the directory.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"version":1,"dropped":{"records":1,"torn":2}}` + "\n" + `{"job":"a","life":1,"blob":"job-a-1-0.txt","blob_bytes":3}` + "\n"))
	f.Add([]byte(`{"version":2}` + "\n"))
	f.Add([]byte("\n\n{}\nnull\n[]\n{\"job\":"))
	f.Add([]byte(`{"job":"a","blob":"/etc/passwd"}` + "\n" + `{"job":"a","blob":"job-../x.txt"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := parseIndex(data)
		if err != nil {
			return
		}
		for _, r := range x.records {
			if r.Blob != "" && filepath.Base(r.Blob) != r.Blob {
				t.Fatalf("blob %q", r.Blob)
			}
		}
		out, err := lines(&header{indexVersion, x.dropped}, x.records...)
		if err != nil {
			return // a year that RFC 3339 has no room for
		}
		again, err := parseIndex(out)
		if err != nil || len(again.records) != len(x.records) || again.dropped != x.dropped || again.torn != 0 || again.tail {
			t.Fatalf("%+v became %+v, %v", x, again, err)
		}
	})
}
