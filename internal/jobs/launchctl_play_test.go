package jobs_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// launchctlChild plays launchctl, and does not return, in a process that is this
// program under that name. It leaves by syscall.Exit, because os.Exit waits for
// a second where the race detector is.
func launchctlChild() {
	dir, ok := strings.CutSuffix(os.Args[0], "/launchctl")
	switch {
	case !ok:
	case len(os.Args) > 2 && os.Args[1] == "play":
		playLaunchctl(os.Args[2:])
		syscall.Exit(0)
	default:
		syscall.Exit(relayLaunchctl(dir, os.Args[1:]))
	}
}

func playLaunchctl(args []string) {
	switch args[0] {
	case "say":
		wd, _ := os.Getwd()
		fmt.Println(args[1] + "\n" + wd + "\n" + strings.Join(os.Environ(), "\n"))
	case "exit":
		fmt.Fprintln(os.Stderr, "ended with "+args[1])
		code, _ := strconv.Atoi(args[1])
		syscall.Exit(code)
	case "flood":
		lot := bytes.Repeat([]byte("x"), 1<<20)
		os.Stdout.Write(lot)
		os.Stderr.Write(lot)
	case "die":
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour)
	case "hang":
		time.Sleep(time.Hour)
	}
}
