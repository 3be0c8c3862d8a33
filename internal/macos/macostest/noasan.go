//go:build standin && !darwin && !asan

package macostest

func sanitize() []string { return nil }
