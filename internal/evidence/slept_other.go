//go:build !linux && !darwin

package evidence

func slept() string { return "" }
