//go:build !linux

package main

// cloexec is no flag of socket(2) elsewhere.
const cloexec = 0
