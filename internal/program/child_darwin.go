package program

import (
	"os"
	"os/exec"

	"portward/internal/jobs"
)

// childLimits is what a child may have. The shell sets them, already as the
// child's own account, and becomes the child: no call of macOS limits another
// process, and Go starts none with limits of its own.
const childLimits = `ulimit -c 0 && ulimit -n 1024 && ulimit -t 3600 && exec "$0" "$@"`

// tie gives the child what there is here instead of a signal at its parent's
// death: a descriptor, as the embedded engine gives its jobs, whose end of file a
// child of ours takes for SIGTERM.
//
// That is weaker than on Linux in three ways. A child that does not look, one
// that hangs, outlives its parent until its work is done. There is no pidfd: what
// keeps a number from being another's is that the child was not waited for. And
// besides the account, and limits of time, descriptors and cores, nothing keeps
// the child from what its account may do: it sees the files that everybody may
// read.
func tie(cmd *exec.Cmd) (untie func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return func() {}, err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES="+jobs.Lifeline)
	cmd.Args = append([]string{"sh", "-c", childLimits, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return func() { r.Close(); w.Close() }, nil
}
