//go:build race

package main

// The programs are built as the tests are.
var asTests = []string{"-race"}

const cgoAsTests = "CGO_ENABLED=1"
