//go:build !race

package main

// The programs are built as they are shipped.
var asTests []string

const cgoAsTests = "CGO_ENABLED=0"
