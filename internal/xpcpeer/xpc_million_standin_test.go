//go:build standin && !darwin && !race && !asan

package xpcpeer_test

const million, hundredThousand = 1_000_000, 100_000
