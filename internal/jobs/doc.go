// Package jobs knows launchd-style jobs: the plist model, the contract of an
// engine that keeps them, the embedded engine, the one that has launchd keep
// them, and how the contract travels as JSON. It must never know what a job
// does, what its messages mean, or whether its death was a crash, a hang or a
// wish: that is for whoever watches.
//
// # The embedded engine
//
// One goroutine, the loop, owns every job. A second one is locked to its
// operating system thread for the engine's whole life and makes every start,
// because PR_SET_PDEATHSIG (prctl(2)) means the death of the thread that
// forked, not of the process. So when the engine's process dies, by SIGKILL
// too, the kernel kills every job's main process, stopped and spinning ones
// included. Processes that a job itself started are not covered by this; each
// job inherits the read end of a pipe named [Lifeline] that reaches its end of
// file at the same moment and may hand it on. A job whose program is set-uid
// or set-gid loses the death signal in execve(2) and has only the pipe.
//
// The engine is launchd's in the meaning of its keys, with these differences:
//
//   - ThrottleInterval defaults to 0, not to 10 seconds. Against spinning it
//     has a delay of its own: after [FastDeaths] lives in a row that were
//     shorter than [FastLife], and after every failed start, the next start
//     waits [RelaunchMin], doubled each time up to [RelaunchMax].
//   - Kickstart overrides ThrottleInterval and that delay. It does not override
//     Hold: it answers [ErrHeld] and touches nothing.
//   - UserName and GroupName count only where the engine runs as root.
//   - MachServices and Sockets belong to the system domain; an agent that
//     declares them is refused.
//   - A change of a WatchPaths entry while the job runs starts nothing.
//   - StartInterval counts from the load: the first start comes one interval
//     later, unless another key asks for one. A tick that comes round while the
//     job runs is missed; one that comes round while it may not start, because
//     of ThrottleInterval or Hold, waits for that, and several are one. The
//     delay against spinning is not for ticks; a start that fails is tried
//     again with the next one.
//   - KeepAlive with only PathState does not run the job at load, it runs it
//     when the state is met.
//   - SIGTERM goes to the whole process group and is followed by SIGCONT, so
//     that a stopped job can obey.
//
// # The launchd engine
//
// See [Launchd]: what launchctl cannot tell is left out, and Hold is a bootout.
package jobs
