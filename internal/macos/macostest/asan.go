//go:build standin && !darwin && asan

package macostest

// sanitize: the test binary brings the address sanitizer along.
func sanitize() []string { return []string{"-fsanitize=address", "-fno-omit-frame-pointer"} }
