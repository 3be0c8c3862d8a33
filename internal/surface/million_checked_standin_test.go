//go:build standin && !darwin && (race || asan)

package surface_test

// million is less where each step is checked.
const million = 50_000
