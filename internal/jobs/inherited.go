package jobs

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Lifeline is the name of the inherited descriptor that reaches end of file
// when the engine is gone.
const Lifeline = "portward-lifeline"

// Variables that a started job finds in its environment.
const (
	LifeVariable    = "PORTWARD_LIFE"
	TargetVariable  = "PORTWARD_TARGET"
	SessionVariable = "PORTWARD_SESSION" // jobs of a session only
)

const firstListenFD = 3 // SD_LISTEN_FDS_START of sd_listen_fds(3)

// Inherited answers the descriptors that the engine (this one, or systemd)
// passed to this process, by name, as sd_listen_fds_with_names(3) describes it.
// They are the caller's to close. They are marked close-on-exec and the
// variables are removed, so that no child takes them for its own; a second call
// answers none. Listeners among them share their open file description, and so
// O_NONBLOCK, with the engine and with later lives. See PipeVariable for one that
// this process opens itself.
func Inherited() (map[string]*os.File, error) {
	files, err := listened()
	if err == nil {
		files, err = inheritPipe(files)
	}
	return files, wrap("inherit", "descriptors", err)
}

func listened() (map[string]*os.File, error) {
	count, names, pid := os.Getenv("LISTEN_FDS"), os.Getenv("LISTEN_FDNAMES"), os.Getenv("LISTEN_PID")
	for _, v := range []string{"LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID"} {
		os.Unsetenv(v)
	}
	if count == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	list, err := parseListen(count, names)
	if err != nil {
		return nil, fmt.Errorf("LISTEN_FDS: %w", err)
	}
	for i := range list {
		syscall.CloseOnExec(firstListenFD + i)
	}
	files := make(map[string]*os.File, len(list))
	for i, name := range list {
		files[name] = os.NewFile(uintptr(firstListenFD+i), name)
	}
	return files, nil
}

// parseListen answers the names of the descriptors from 3 on.
func parseListen(count, names string) ([]string, error) {
	n, err := strconv.ParseUint(count, 10, 10)
	if err != nil {
		return nil, fmt.Errorf("count %q: %w", count, ErrMalformed)
	}
	if n == 0 {
		return nil, nil
	}
	list := strings.Split(names, ":")
	if len(list) != int(n) {
		return nil, fmt.Errorf("%d descriptors with %d names: %w", n, len(list), ErrMalformed)
	}
	seen := map[string]bool{}
	for _, name := range list {
		if name == "" || seen[name] {
			return nil, errors.Join(fmt.Errorf("name %q is empty or there twice", name), ErrMalformed)
		}
		seen[name] = true
	}
	return list, nil
}
