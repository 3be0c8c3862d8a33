// Package jobstest knows what every engine of package jobs has to do and checks
// it with real processes. It must never know how an engine does it.
package jobstest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portward/internal/jobs"
)

const (
	roleVariable  = "JOBSTEST_ROLE"
	notesVariable = "JOBSTEST_NOTES"
)

// A Note is what a child writes about itself when it begins.
type Note struct {
	Role    string
	Target  string
	Life    uint64
	Session string
	PID     int
	UID     int
	GID     int
	Groups  []int
	Umask   int
	Dir     string
	Names   []string // of the inherited descriptors
	Arg     string   // JOBSTEST_ARG
}

// Child runs the child's part, and does not return, in a process that an engine
// under test has started. Call it first in TestMain.
func Child() {
	role := os.Getenv(roleVariable)
	if role == "" {
		return
	}
	inherited, err := jobs.Inherited()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(70)
	}
	note(role, inherited)
	play(role, inherited)
	os.Exit(0)
}

func note(role string, inherited map[string]*os.File) {
	life, _ := strconv.ParseUint(os.Getenv(jobs.LifeVariable), 10, 64)
	n := Note{
		Role: role, Target: os.Getenv(jobs.TargetVariable), Life: life, Session: os.Getenv(jobs.SessionVariable),
		PID: os.Getpid(), UID: os.Getuid(), GID: os.Getgid(), Arg: os.Getenv("JOBSTEST_ARG"),
	}
	n.Groups, _ = os.Getgroups()
	n.Umask = syscall.Umask(0)
	syscall.Umask(n.Umask)
	n.Dir, _ = os.Getwd()
	for name := range inherited {
		n.Names = append(n.Names, name)
	}
	data, _ := json.Marshal(n)
	f, err := os.OpenFile(os.Getenv(notesVariable), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o666)
	if err == nil {
		_, err = f.Write(append(data, '\n'))
		f.Close()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(74)
	}
}

func play(role string, inherited map[string]*os.File) {
	verb, arg, _ := strings.Cut(role, " ")
	switch verb {
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "serve":
		serve(inherited)
	case "sleep": // dies of SIGTERM
		forever()
	case "obey": // ends well on SIGTERM
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		note("obeying", inherited)
		<-c
		note("obeyed", inherited)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
		note("deaf", inherited)
		forever()
	case "stopped":
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		forever()
	case "spin":
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
		//lint:ignore SA5002 a job that spins is what is wanted
		for {
		}
	case "family": // a member of its group that outlives it, if nobody cares
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), roleVariable+"=stubborn")
		if err := c.Start(); err != nil {
			os.Exit(71)
		}
		forever()
	}
}

// serve takes one connection after the other, so that further ones stay queued.
// Each says one line: what to do.
func serve(inherited map[string]*os.File) {
	for name, f := range inherited {
		if name == jobs.Lifeline {
			continue
		}
		l, err := net.FileListener(f)
		if err != nil {
			continue
		}
		f.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					os.Exit(71)
				}
				obey(c)
			}
		}()
	}
	io.Copy(io.Discard, inherited[jobs.Lifeline])
}

func obey(c net.Conn) {
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	verb, arg, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch verb {
	case "life":
		fmt.Fprintln(c, os.Getenv(jobs.LifeVariable))
	case "exit":
		code, _ := strconv.Atoi(arg)
		os.Exit(code)
	case "signal":
		n, _ := strconv.Atoi(arg)
		debug.SetTraceback("crash") // a crash signal ends Go with SIGABRT then
		syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{})
		syscall.Kill(os.Getpid(), syscall.Signal(n))
		forever()
	}
}

// forever waits. A program of this goroutine alone that waits on nothing at all
// is ended by the runtime, which calls it a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
