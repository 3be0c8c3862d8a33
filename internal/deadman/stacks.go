package deadman

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// MaxStacks bounds a stacks file, and thereby what a dying process may write.
const MaxStacks = 256 << 10

// NewStacks makes the file that a process gives to debug.SetCrashOutput: memory
// of MaxStacks bytes that cannot grow. The kernel refuses what does not fit,
// and the runtime goes on dying regardless. The caller closes it.
func NewStacks() (*os.File, error) {
	f, err := newStacks(MaxStacks)
	if err != nil {
		return nil, &Error{"make stacks", err}
	}
	return f, nil
}

// Stacks reads what a process wrote there, empty if nothing. It reads at an
// offset of its own: the process shares the file's.
func Stacks(f *os.File) ([]byte, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, MaxStacks))
	if err != nil {
		return nil, &Error{"read stacks", fmt.Errorf("%s: %w", f.Name(), err)}
	}
	return bytes.TrimRight(text, "\x00"), nil
}
