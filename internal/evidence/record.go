// Package evidence knows how the deaths of jobs are remembered: a bounded
// directory of records, each with what was seen at the death. It must never
// know why anything died, or act on it.
//
// A store is a directory, 0700, of 0600 files: "index.jsonl", and one file for
// each blob. The index is JSON lines: a header with the version and what was
// dropped so far, then one record a line, oldest first; a later header replaces
// an earlier one. A record is added
// by one append with fsync, its blob's file before it; when a bound is passed
// the index is replaced as a whole (durable.Write), and only then are the
// blobs removed that it no longer names. So a power cut at any point leaves
// either a record whose blob is there, or a file that no record names, which
// the next Open removes, or a torn last line, which is counted as Torn.
package evidence

import "time"

// Record is one death, or one start that failed.
type Record struct {
	Job    string        `json:"job"`             // the target, as "system/dev.portward.netchild"
	Life   uint64        `json:"life"`            // the engine's or the supervisor's number of the life
	Time   time.Time     `json:"time"`            // of the verdict
	Class  string        `json:"class"`           // the verdict's, one word
	Text   string        `json:"text,omitempty"`  // the verdict for people
	Uptime time.Duration `json:"uptime"`          // nanoseconds
	Exit   string        `json:"exit,omitempty"`  // how the process ended, as "exit status 2"
	Cause  string        `json:"cause,omitempty"` // what asked for it, where something did

	// What follows is the store's: Add overwrites it.

	Blob      string `json:"blob,omitempty"`       // in an answer of List: the path of the blob's file
	BlobBytes int64  `json:"blob_bytes,omitempty"` // its size
	BlobLost  bool   `json:"blob_lost,omitempty"`  // there was one; it was dropped or could not be written
}

// Dropped is what a store had and no longer has, since it was made.
type Dropped struct {
	Records uint64 `json:"records"` // oldest first, for the bound of records
	Blobs   uint64 `json:"blobs"`   // oldest first, for the bounds of blobs, or because the disk was full
	Bytes   uint64 `json:"bytes"`   // in those blobs, and cut off the ends of long ones
	Torn    uint64 `json:"torn"`    // lines of the index that could not be read
}

// Limits bound a store. A zero field means the default.
type Limits struct {
	Records   int   // 256
	Blobs     int   // 32
	Bytes     int64 // 4 MiB, in all blobs together
	BlobBytes int64 // 256 KiB, in one blob, the note about what was cut off included
}

// Lengths, in bytes, at which a record's words are cut off.
const (
	maxName = 256
	maxText = 4096
)

func (l Limits) orDefault() Limits {
	if l.Records <= 0 {
		l.Records = 256
	}
	if l.Blobs <= 0 {
		l.Blobs = 32
	}
	if l.Bytes <= 0 {
		l.Bytes = 4 << 20
	}
	if l.BlobBytes <= 0 {
		l.BlobBytes = 256 << 10
	}
	return l
}

// bounded answers the record with its words cut to their lengths and the
// store's fields empty.
func (r Record) bounded() Record {
	r.Job, r.Class = cut(r.Job, maxName), cut(r.Class, maxName)
	r.Text, r.Exit, r.Cause = cut(r.Text, maxText), cut(r.Exit, maxText), cut(r.Cause, maxText)
	r.Blob, r.BlobBytes, r.BlobLost = "", 0, false
	return r
}
