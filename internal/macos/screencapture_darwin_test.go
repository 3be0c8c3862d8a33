package macos

import (
	"testing"

	"github.com/ebitengine/purego/objc"
)

// Rule: every message we send is one that its receiver's class answers. (On a
// Mac only; elsewhere there is no list of them.)
func TestScreenCaptureMessages(t *testing.T) {
	if err := ScreenCaptureAvailable(); err != nil {
		t.Fatal(err)
	}
	responds, instances := objc.RegisterName("respondsToSelector:"), objc.RegisterName("instancesRespondToSelector:")
	for _, m := range allMessages() {
		how := instances
		if m.meta {
			how = responds
		}
		if class(m.class) == 0 || !objc.Send[bool](class(m.class), how, m.sel()) {
			t.Errorf("%s does not answer %s (%s)", m.class, m.selector, m.header)
		}
	}
}

// Rule: the class that streams report to can be made.
func TestScreenCaptureOutputClass(t *testing.T) {
	if _, err := outputClass(); err != nil {
		t.Fatal(err)
	}
}
