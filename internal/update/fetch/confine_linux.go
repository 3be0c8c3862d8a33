package fetch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	"github.com/landlock-lsm/go-landlock/landlock/syscall"
	"golang.org/x/sys/unix"

	"portward/internal/linux"
)

// What is read is read, never run.
const (
	readFile = syscall.AccessFSReadFile
	readDir  = readFile | syscall.AccessFSReadDir
	ownDir   = readDir | syscall.AccessFSWriteFile | syscall.AccessFSTruncate |
		syscall.AccessFSMakeReg | syscall.AccessFSRemoveFile | syscall.AccessFSRemoveDir
)

const (
	// resolving is what finding a host's address reads.
	resolving = "/etc/resolv.conf /etc/hosts /etc/nsswitch.conf /etc/gai.conf /etc/services /etc/localtime"
	// authorityDirs is where systems keep authorities. They were read already,
	// but of a directory not all that is in it.
	authorityDirs = "/etc/ssl /etc/pki /etc/ca-certificates /usr/share/ca-certificates /usr/local/share/ca-certificates /usr/share/pki /var/lib/ca-certificates"
	// moreMemory is what may be allocated on top of what is: two contents and a
	// window of the largest that can be patched.
	moreMemory = 2 << 30
	// fullLandlock is the version that knows all that confine wants.
	fullLandlock = 6
)

// confine takes from this process, for good, what it does not need: files but
// its cache and what it must read, running programs, listening, signals to
// others, children, privileges, and more memory or descriptors than it can use.
// What the kernel does not know is left out, and said; that it does not see
// multipath TCP, which can still listen, is not.
func confine(cfg Config, log func(string, ...any)) error {
	runtime.GOMAXPROCS(2) // a fetcher has time
	if err := limit(); err != nil {
		return err
	}
	if err := linux.NoChildren(); errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) {
		log("this kernel has no filters for system calls: children stay possible")
	} else if err != nil {
		return fmt.Errorf("no children: %w", err)
	}
	abi, err := syscall.LandlockGetABIVersion()
	if err != nil || abi < fullLandlock {
		log("this kernel's Landlock is of version %d, not %d: files, listening or signals stay within reach (%v)", max(abi, 0), fullLandlock, err)
	}
	rules := landlock.V6
	rules.HandledAccessNet = syscall.AccessNetBindTCP // connections go where repository, proxy and redirects say
	err = rules.BestEffort().Restrict(
		landlock.PathAccess(ownDir, cfg.Cache),
		landlock.PathAccess(readFile, strings.Fields(resolving)...).IgnoreIfMissing(),
		landlock.PathAccess(readDir, readable(cfg)...).IgnoreIfMissing(),
	)
	if err != nil {
		return err
	}
	// Where there is no Landlock it was not set by it.
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

func readable(cfg Config) []string {
	list := append(strings.Fields(authorityDirs), filepath.SplitList(os.Getenv("SSL_CERT_DIR"))...)
	if cfg.Live != "" {
		list = append(list, cfg.Live)
	}
	return list
}

func limit() error {
	data, err := dataSize()
	if err != nil {
		return err
	}
	for _, l := range []struct {
		which int
		most  uint64
	}{
		{unix.RLIMIT_NOFILE, 64},
		{unix.RLIMIT_CORE, 0},
		{unix.RLIMIT_FSIZE, maxSize},
		{unix.RLIMIT_DATA, data + moreMemory},
	} {
		var now unix.Rlimit
		if err := unix.Getrlimit(l.which, &now); err != nil {
			return fmt.Errorf("resource limit %d: %w", l.which, err)
		}
		most := min(l.most, now.Max)
		if err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: most, Max: most}); err != nil {
			return fmt.Errorf("resource limit %d: %w", l.which, err)
		}
	}
	return nil
}

// dataSize is what RLIMIT_DATA counts.
func dataSize() (uint64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	var pages [6]uint64
	if _, err := fmt.Sscan(string(text), &pages[0], &pages[1], &pages[2], &pages[3], &pages[4], &pages[5]); err != nil {
		return 0, fmt.Errorf("/proc/self/statm: %w", err)
	}
	return pages[5] * uint64(os.Getpagesize()), nil
}
