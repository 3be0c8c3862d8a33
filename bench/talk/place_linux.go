package talk

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// placedVariable says which half has its place.
const placedVariable = "PORTWARD_BENCH_PLACED"

// Settle puts this half of the pair where the environment says, with all its
// threads: it starts over on that processor, once. The runtime then counts as many
// processors as it has.
func Settle(other bool) error {
	where, done := Place(os.Getenv(PlaceVariable)), os.Getenv(placedVariable)
	half := map[bool]string{false: "asked", true: "other"}[other]
	if where == Free || done == half {
		return nil
	}
	var may unix.CPUSet
	if err := allowed(&may); err != nil {
		return err
	}
	skip := 0
	if where == Two && other && may.Count() > 1 {
		skip = 1
	}
	one := nth(may, skip)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	if err := os.Setenv(placedVariable, half); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", os.Args, os.Environ())
}

// allowed is what the machine has, whatever this process was given: the other
// half inherits the place of the first.
func allowed(may *unix.CPUSet) error { return unix.SchedGetaffinity(1, may) }

// nth is the set of one: the one after skip others.
func nth(may unix.CPUSet, skip int) (one unix.CPUSet) {
	for cpu := range len(may) * 64 {
		if !may.IsSet(cpu) {
			continue
		}
		if skip == 0 {
			one.Set(cpu)
			break
		}
		skip--
	}
	return one
}
