//go:build darwin || standin

package macos

type missingSymbols struct {
	_ struct{} `lib:"/usr/lib/libSystem.B.dylib"`

	no_such_optional         func()  `c:"optional"`
	no_such_datum            address `c:"optional"`
	no_such_function_of_ours func() int32
}

func NeedMissing() (*missingSymbols, error) { return need[missingSymbols]() }

func CallMissing() {
	s := load[missingSymbols]()
	if s.no_such_optional != nil || s.no_such_datum != 0 {
		panic("an optional symbol that is not there is something")
	}
	s.no_such_function_of_ours()
}

// NewBlock and ReleaseBlock are for tests of blocks alone.
func NewBlock(f func(a, b Ref) bool) Ref { return newBlock(f) }
func ReleaseBlock(b Ref)                 { releaseBlock(b) }

// CopyBlock is what a library does that keeps one.
func CopyBlock(b Ref) Ref { return blocks()._Block_copy(pointer(uintptr(b))) }

// LiveHandlers counts the functions that blocks hold.
func LiveHandlers() int { return blocks().handles.live() }
