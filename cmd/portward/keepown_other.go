//go:build !linux

package main

// keepOwn is for systems on which the embedded engine runs.
func keepOwn() {}
