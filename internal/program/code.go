package program

import "errors"

// ErrCondemned is in the error of CheckCode where it is the code that is at fault:
// changed, unsigned, or signed by somebody else. Any other error is the machine's, and
// says nothing of the code.
var ErrCondemned = errors.New("the system condemns it")
