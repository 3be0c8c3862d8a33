package macos

import "errors"

// A Ref is a reference to an object of a foreign library. 0 is NULL. The garbage
// collector does not know it: whoever creates or retains one releases it.
type Ref uintptr

// A Retainer has an XPC object, as handles in messages do. Retain answers a
// reference of the caller's own, or 0 when there is nothing left to refer to.
type Retainer interface{ Retain() Ref }

// ErrNoSymbol says that this system's library has no such function.
var ErrNoSymbol = errors.New("no such function in this system's libraries")
