package main

import (
	"fmt"
	"os"

	"portward/proof/subject"
	"portward/proof/syscalls"
)

// processWord as the first argument makes this program the subject itself:
//
//	powercut -process act|start FIXTURE SUBJECT ROOT
//
// Descriptor 3 is the observer's. Each promise is a line of output.
const processWord = "-process"

func process(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%d arguments", len(args))
	}
	f, err := subject.Load(args[1])
	if err != nil {
		return err
	}
	s, err := f.Named(args[2])
	if err != nil {
		return err
	}
	if err := syscalls.Submit(os.NewFile(3, "observer")); err != nil {
		return err
	}
	if args[0] == "start" {
		return s.Start(args[3], true)
	}
	return s.Act(args[3], func(which string) { fmt.Println(which) })
}
