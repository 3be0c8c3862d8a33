package xpcpeer_test

import "testing"

const standingIn = false

// checkLive: Apple's libraries do not count for us.
func checkLive(testing.TB) {}
