//go:build standin && !darwin

package macos_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	. "portward/internal/macos"
)

// Rule: what ends a process on a Mac ends it here.
func TestMisuse(t *testing.T) {
	if what := os.Getenv("PORTWARD_MISUSE"); what != "" {
		misuses()[what]()
		return
	}
	for what := range misuses() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestMisuse$")
		cmd.Env = append(os.Environ(), "PORTWARD_MISUSE="+what)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "API misuse: ") || !strings.Contains(string(out), what) {
			t.Errorf("%s: %v\n%.300s", what, err, out)
		}
	}
}

// misuses are by a part of what the stand-in says.
func misuses() map[string]func() {
	handled := func() Ref {
		c := XPCConnectionCreate(0)
		XPCConnectionSetEventHandler(c, func(Ref) {})
		return c
	}
	return map[string]func(){
		"release of an inactive connection": func() { XPCRelease(handled()) },
		"release of a suspended connection": func() {
			c := handled()
			XPCConnectionActivate(c)
			XPCConnectionSuspend(c)
			XPCRelease(c)
		},
		"activation without a handler": func() { XPCConnectionActivate(XPCConnectionCreate(0)) },
		"a second requirement on one connection": func() {
			c := handled()
			XPCConnectionSetPeerCodeSigningRequirement(c, "a")
			XPCConnectionSetPeerCodeSigningRequirement(c, "a")
		},
		"a requirement on an active connection": func() {
			c := handled()
			XPCConnectionActivate(c)
			XPCConnectionSetPeerCodeSigningRequirement(c, "a")
		},
		"more resumptions than suspensions": func() { XPCConnectionResume(handled()) },
		"a message sent to a listener": func() {
			c := handled()
			XPCConnectionActivate(c)
			XPCConnectionSendMessage(c, XPCDictionaryCreate())
		},
		"beyond the array's end":       func() { XPCArrayGetValue(XPCArrayCreate(), 0) },
		"a key asked of no dictionary": func() { XPCDictionaryGetValue(XPCArrayCreate(), "n") },
		"is no connection":             func() { XPCConnectionActivate(XPCDictionaryCreate()) },
	}
}
