//go:build standin && !darwin && !race && !asan

package macos_test

const million = 1_000_000
