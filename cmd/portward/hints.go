package main

import (
	"fmt"
	"strings"
)

// What other rooms say, without a way out: the flags that are one are the tool's.
const (
	saysUnbelieved = "none of the roots that are believed is in the signature"
	saysByNobody   = "signed ad hoc: by nobody"
)

// saysChanged is what they say of a file that is not as it was sealed.
var saysChanged = []string{"the seal says", "listed in the seal"}

const (
	hintRoot    = "--root PEM believes a chain of your own; one from Apple needs the whole chain in the p12"
	hintChain   = "the root has to be in PEM and, like the whole chain, in the p12 that signed"
	hintAdHoc   = "--ad-hoc is content with what nobody signed"
	hintChanged = "pack it anew; if it was signed elsewhere, or a ticket was stapled into it: portward sign --seal"
)

// hinted adds a hint to an error that says one of those, unless it has one.
func hinted(err error, hint string, says ...string) error {
	if err == nil || strings.Contains(err.Error(), "\nhint: ") {
		return err
	}
	for _, s := range says {
		if strings.Contains(err.Error(), s) {
			return fmt.Errorf("%w\nhint: %s", err, hint)
		}
	}
	return err
}

// amount is a number of things: 1 frame, 2 frames.
func amount(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
