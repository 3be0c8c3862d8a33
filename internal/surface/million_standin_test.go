//go:build standin && !darwin && !race && !asan

package surface_test

const million = 1_000_000
