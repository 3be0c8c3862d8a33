//go:build darwin || standin

package macos

import (
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
)

// A literal is a block as the ABI of blocks lays it out, with one captured
// word. A descriptor has the helpers' addresses because its flag says so; there
// is nothing to copy, and libraries since macOS 11 take NULL for that.
type (
	literal struct {
		isa        address
		flags      int32
		reserved   int32
		invoke     uintptr
		descriptor unsafe.Pointer
		handle     uintptr
	}
	descriptor struct {
		reserved, size uintptr
		copy, dispose  uintptr
	}
)

const blockHasCopyDispose = 1 << 25

// A blockRuntime is the two callbacks of the process and what blocks share.
type blockRuntime struct {
	blockSymbols
	invoke     uintptr
	descriptor *descriptor // in C's memory, for ever
	handles    handles
}

var blocks = sync.OnceValue(newBlockRuntime)

func newBlockRuntime() *blockRuntime {
	r := &blockRuntime{blockSymbols: *load[blockSymbols]()}
	r.invoke = purego.NewCallback(func(block unsafe.Pointer, a, b uintptr) uintptr {
		if r.handles.get((*literal)(block).handle)(Ref(a), Ref(b)) {
			return 1
		}
		return 0
	})
	r.descriptor = (*descriptor)(r.malloc(unsafe.Sizeof(descriptor{})))
	*r.descriptor = descriptor{size: unsafe.Sizeof(literal{}), dispose: purego.NewCallback(func(block unsafe.Pointer) uintptr {
		r.handles.remove((*literal)(block).handle)
		return 0
	})}
	return r
}

// newBlock makes a block of f on C's heap; whoever asked releases it with
// releaseBlock, and f is forgotten when the last to hold it does. a and b are
// its arguments: a block of fewer gets rubbish in the others. What f says is a
// bool block's answer.
func newBlock(f func(a, b Ref) bool) Ref {
	r := blocks()
	l := literal{
		isa: r._NSConcreteStackBlock, flags: blockHasCopyDispose, invoke: r.invoke,
		descriptor: unsafe.Pointer(r.descriptor), handle: r.handles.add(f),
	}
	return r._Block_copy(unsafe.Pointer(&l))
}

func releaseBlock(b Ref) { blocks()._Block_release(b) }

// handles gives numbers to functions, and numbers of forgotten ones again.
type handles struct {
	mu    sync.Mutex
	funcs []func(a, b Ref) bool
	free  []uintptr
}

func (t *handles) add(f func(a, b Ref) bool) uintptr {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		h := t.free[n-1]
		t.free, t.funcs[h] = t.free[:n-1], f
		return h
	}
	t.funcs = append(t.funcs, f)
	return uintptr(len(t.funcs) - 1)
}

func (t *handles) get(h uintptr) func(a, b Ref) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.funcs[h]
}

func (t *handles) remove(h uintptr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.funcs[h], t.free = nil, append(t.free, h)
}

// live is for tests.
func (t *handles) live() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.funcs) - len(t.free)
}
