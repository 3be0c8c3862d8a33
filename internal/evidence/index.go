package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	indexName    = "index.jsonl"
	indexVersion = 1
	maxIndex     = 16 << 20 // bytes that are read of an index; a sound one is far smaller
	maxBlobName  = 128
)

// ErrVersion is in the error for an index of another version.
var ErrVersion = errors.New("unknown version of the evidence index")

// A header is the first line, and may come again: the last one counts.
type header struct {
	Version int     `json:"version"`
	Dropped Dropped `json:"dropped"`
}

// An index is the content of the file. In it, Blob is a name without its
// directory.
type index struct {
	dropped Dropped
	records []Record
	found   bool   // there is a file
	torn    uint64 // complete lines that are no record
	tail    bool   // the file does not end with a newline: a write in progress, or one cut off
}

// List answers the records of the store in dir, oldest first, as one moment saw
// them; it may run in any process while the store is written. A blob may be
// dropped before it is opened, which is fs.ErrNotExist.
func List(dir string) ([]Record, Dropped, error) {
	x, err := readIndex(dir)
	if err != nil {
		return nil, Dropped{}, err
	}
	x.dropped.Torn += x.torn
	return withPaths(dir, x.records), x.dropped, nil
}

func withPaths(dir string, records []Record) []Record {
	list := make([]Record, len(records))
	for i, r := range records {
		if r.Blob != "" {
			r.Blob = filepath.Join(dir, r.Blob)
		}
		list[i] = r
	}
	return list
}

// readIndex answers an empty index if there is none.
func readIndex(dir string) (index, error) {
	f, err := os.Open(filepath.Join(dir, indexName))
	if errors.Is(err, fs.ErrNotExist) {
		return index{}, nil
	}
	if err != nil {
		return index{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIndex))
	if err != nil {
		return index{}, err
	}
	x, err := parseIndex(data)
	if err != nil {
		return index{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	x.found = true
	return x, nil
}

// parseIndex reads what can be read and counts what cannot; only another
// version is an error. A line without its newline is not there yet.
func parseIndex(data []byte) (index, error) {
	var x index
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			x.tail = true
			break
		}
		data = rest
		if r, ok := parseRecord(line); ok {
			x.records = append(x.records, r)
		} else if h, ok := parseHeader(line); !ok {
			x.torn++
		} else if h.Version != indexVersion {
			return index{}, fmt.Errorf("%w: %d, this program reads %d", ErrVersion, h.Version, indexVersion)
		} else {
			x.dropped = h.Dropped
		}
	}
	return x, nil
}

func parseHeader(line []byte) (header, bool) {
	var h header
	err := json.Unmarshal(line, &h)
	return h, err == nil && h.Version != 0
}

func parseRecord(line []byte) (Record, bool) {
	var r Record
	if err := json.Unmarshal(line, &r); err != nil || r.Job == "" {
		return Record{}, false
	}
	if r.Blob != "" && !isBlobName(r.Blob) || r.BlobBytes < 0 {
		return Record{}, false
	}
	return r, true
}

// lines answers the header, which is left out where it is nil, and the records.
func lines(h *header, records ...Record) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	if h != nil {
		if err := enc.Encode(h); err != nil {
			return nil, err
		}
	}
	for _, r := range records {
		if err := enc.Encode(r); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// blobName answers a name made of the job's label and the life, for people, and
// a number, so that there are no two: "job-dev.portward.netchild-17-3.txt".
func blobName(r Record, n uint64) string {
	label := r.Job[strings.LastIndexByte(r.Job, '/')+1:]
	clean := strings.Map(func(c rune) rune {
		if isNameByte(c) {
			return c
		}
		return '-'
	}, label)
	clean = strings.TrimLeft(cut(clean, 64), ".-")
	return fmt.Sprintf("job-%s-%d-%d.txt", clean, r.Life, n)
}

// blobNumber answers the number that blobName gave it.
func blobNumber(name string) uint64 {
	digits := strings.TrimSuffix(name[strings.LastIndexByte(name, '-')+1:], ".txt")
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return 0
	}
	return n
}

// isBlobName: what blobName can answer, so nothing that leaves the directory
// and neither the index nor a temporary file.
func isBlobName(name string) bool {
	if len(name) > maxBlobName || !strings.HasPrefix(name, "job-") || !strings.HasSuffix(name, ".txt") {
		return false
	}
	return strings.IndexFunc(name, func(c rune) bool { return !isNameByte(c) }) < 0
}

func isNameByte(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'
}

// cut shortens s to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
