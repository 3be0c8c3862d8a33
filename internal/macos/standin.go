//go:build standin && !darwin

package macos

import "sync"

// What tests do with the stand-in from outside. It is no part of a product.

type standinSymbols struct {
	_ struct{} `lib:"standin"`

	standin_live                 func(int32) int64
	standin_drive                func(Ref, int64, int32)
	standin_set_identity         func(Ref, string)
	standin_set_default_identity func(string)
	standin_set_credentials      func(Ref, int32, uint32, uint32)
	standin_load                 func(string, bool)
	standin_unload               func(string)
	standin_kill                 func(string)
	standin_die                  func(Ref)
	standin_terminate            func(Ref)
	standin_other_create         func() Ref
	standin_null_create          func() Ref
	standin_console              func(string, uint32, bool)
	standin_console_rubbish      func()
	standin_socket               func(string, int32)
	standin_surface_lie          func(Ref, int32, uintptr)
	standin_surface_guard        func(bool)
}

var standin = sync.OnceValue(load[standinSymbols])

// StandinLive is how much there is, by kind: zero of each when a test ends.
// Blocks and connections end a moment after their last handler.
func StandinLive() map[string]int64 {
	live := map[string]int64{"handlers": int64(blocks().handles.live())}
	for i, kind := range []string{"objects", "blocks", "connections", "queues", "surfaces", "cf"} {
		live[kind] = standin().standin_live(int32(i))
	}
	return live
}

// StandinSetIdentity says who the process of a connection is: a requirement is
// satisfied if it has this text in it, and is not "deny".
func StandinSetIdentity(conn Ref, text string) { standin().standin_set_identity(conn, text) }

// StandinSetDefaultIdentity does so for connections to come; "" is anybody.
func StandinSetDefaultIdentity(text string) { standin().standin_set_default_identity(text) }

// StandinSetCredentials is what the other side of conn sees from its next
// exchange on. An accepted peer sees what its client had at its first message.
func StandinSetCredentials(conn Ref, pid int, euid, egid uint32) {
	standin().standin_set_credentials(conn, int32(pid), euid, egid)
}

// StandinLoad loads a job that has this name and does not run: messages wait for
// a listener. One that is not privileged is not found with XPCPrivileged.
func StandinLoad(name string, privileged bool) { standin().standin_load(name, privileged) }

// StandinUnload boots the job out: its clients are interrupted, then invalid.
func StandinUnload(name string) { standin().standin_unload(name) }

// StandinKill is the death of the name's process: its listener and their peers
// become invalid, clients are interrupted, and the name can be listened on again.
func StandinKill(name string) { standin().standin_kill(name) }

// StandinDie is the death of the process that has this listener.
func StandinDie(listener Ref) { standin().standin_die(listener) }

// StandinTerminate delivers XPCTerminationImminent.
func StandinTerminate(conn Ref) { standin().standin_terminate(conn) }

// StandinOtherCreate is an object of a type that no program knows.
func StandinOtherCreate() Ref { return standin().standin_other_create() }

// StandinNullCreate is an object of a type that a program knows and has no use for.
func StandinNullCreate() Ref { return standin().standin_null_create() }

// StandinDrive calls the function n times from each of so many threads, with
// 1, 2, 3 and so on.
func StandinDrive(f func(Ref), n int64, threads int) {
	b := newBlock(func(o, _ Ref) bool { f(o); return false })
	defer releaseBlock(b)
	standin().standin_drive(b, n, int32(threads))
}

// StandinConsole adds a session to the console's, or ends all if it has no name.
func StandinConsole(u ConsoleUser) {
	standin().standin_console(u.Name, u.UID, u.LoginDone)
}

// StandinConsoleRubbish adds entries that are no sessions.
func StandinConsoleRubbish() { standin().standin_console_rubbish() }

// StandinSocket: the job has a socket of this name, and another of it.
func StandinSocket(name string, fd int) { standin().standin_socket(name, int32(fd)) }
