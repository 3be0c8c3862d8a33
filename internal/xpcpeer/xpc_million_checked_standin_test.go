//go:build standin && !darwin && (race || asan)

package xpcpeer_test

// They are less where each step is checked.
const million, hundredThousand = 20_000, 5_000
