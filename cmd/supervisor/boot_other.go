//go:build !darwin

package main

// bootDir: whoever starts the engine here gives it its jobs.
func bootDir() string { return "" }
