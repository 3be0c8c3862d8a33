package linux

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sharedWords are in memory that another process could have too.
func sharedWords(t *testing.T) []uint32 {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	return Words32(mem)
}

// Both ways to wait keep the same promises.
var waits = []func(*uint32, uint32) error{FutexWait, func(word *uint32, is uint32) error {
	late, err := FutexWaitLong(word, is)
	if err == nil && late < 0 {
		err = fmt.Errorf("late by %v", late)
	}
	return err
}}

func TestWords32(t *testing.T) {
	words := sharedWords(t)
	if len(words) != 1024 {
		t.Errorf("%d words", len(words))
	}
	if Words32(make([]byte, 3)) != nil || Words32(nil) != nil {
		t.Error("words in less than one")
	}
}

// Rule: who waits for a word with another value does not wait.
func TestFutexOfAnotherValue(t *testing.T) {
	words := sharedWords(t)
	for _, wait := range waits {
		if err := wait(&words[0], 1); !errors.Is(err, unix.EAGAIN) {
			t.Error(err)
		}
	}
}

// Rule: a sleeper is woken, and where a peer has moved him to another word, he
// comes back when the memory is ours again.
func TestFutex(t *testing.T) {
	for name, wake := range map[string]func(words []uint32){
		"woken": func(words []uint32) { FutexWake(&words[0]) },
		"taken away": func(words []uint32) {
			FutexRequeue(&words[0], &words[512])
			FutexWake(&words[0])
			if err := errors.Join(Replace(bytesOf(words)), Nudge()); err != nil {
				t.Error(err)
			}
		},
	} {
		for _, wait := range waits {
			if err := wokenBy(t, wait, wake); err != nil && !errors.Is(err, unix.EAGAIN) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// wokenBy waits until somebody wakes us who tries again and again.
func wokenBy(t *testing.T, wait func(*uint32, uint32) error, wake func(words []uint32)) error {
	words := sharedWords(t)
	words[0] = 1
	var awake atomic.Bool
	var all sync.WaitGroup
	defer all.Wait()
	defer awake.Store(true)
	all.Go(func() {
		for !awake.Load() {
			wake(words)
			time.Sleep(time.Millisecond)
		}
	})
	return wait(&words[0], 1)
}

// Rule: while all threads there are wait in system calls, brief or not, others run,
// memory is collected, and stacks grow.
func TestFutexLeavesOthersAlone(t *testing.T) {
	words := sharedWords(t)
	var all sync.WaitGroup
	for i := range 8 {
		words[i*16] = 1
		all.Go(func() { waits[i%2](&words[i*16], 1) })
	}
	for range 20 {
		runtime.GC()
		grow(200)
	}
	for i := range 8 {
		atomic.StoreUint32(&words[i*16], 0)
		FutexWake(&words[i*16])
	}
	all.Wait()
}

//go:noinline
func grow(n int) (sum byte) {
	var frame [512]byte
	frame[n] = byte(n)
	if n > 0 {
		sum = grow(n - 1)
	}
	return sum + frame[n]
}

func bytesOf(words []uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 4*len(words))
}
