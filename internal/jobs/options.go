package jobs

import "os"

// Options of the embedded engine. Its functions are called by the engine's own
// goroutines, never two at a time for one target; they must not call the engine.
type Options struct {
	// Prefix is the one path under which the plists are written, Root the one
	// that takes its place: in Program, ProgramArguments, EnvironmentVariables
	// and every path, where the value is Prefix or begins with Prefix and a
	// slash. With an empty Prefix nothing is mapped.
	Prefix, Root string
	// RunDir is where BindService puts its sockets: RunDir/NAME. The engine
	// removes them when the job is unloaded.
	RunDir string
	// BindService answers a listening socket for a name of MachServices. It is
	// the engine's from then on.
	BindService func(name string) (*os.File, error)
	// SocketAddr may replace the host:port that a key of Sockets declares; an
	// empty answer, or a nil function, leaves it.
	SocketAddr func(t Target, key, declared string) string
	// Users answers the account of a UserName, and with its gid the group of a
	// GroupName. It is asked only where the engine runs as root.
	Users func(name string) (uid, gid uint32, ok bool)
	// Descriptors adds inherited descriptors to each start. The engine closes
	// its copies after the start, successful or not.
	Descriptors func(t Target, life uint64) ([]NamedFile, error)
	// ErrorPath answers where a job's standard error goes whose plist does not
	// say, under the rules of StandardErrorPath. With an empty answer, or a nil
	// function, it goes nowhere.
	ErrorPath func(t Target) string
	// Environ is the environment that each job starts from.
	Environ []string
	// StopLast lists labels of the system domain that Close stops one after
	// the other, in this order, after everything else.
	StopLast []string
	// Log may be nil.
	Log func(format string, args ...any)
}

// A NamedFile is a descriptor and the name under which a job inherits it.
type NamedFile struct {
	Name string
	File *os.File
}
