//go:build !linux

package main

import "os/exec"

// runBound runs cmd to its end.
func runBound(cmd *exec.Cmd) ([]byte, error) { return cmd.CombinedOutput() }
