package watchdog

// A Life numbers one run of the job, from its start to its end. The engine
// counts from 1, later lives have higher numbers. Every timer, exit and message
// carries the life it belongs to, and the loop drops strangers.
type Life uint64

// A State is what the job is.
//
//	          Started             CheckedIn
//	Down ────────────────> Starting ──────> Up ───────────> Lost
//	 ^ ^                    │ too late      │ hangs  Lost    │ no exit told
//	 │ └─────── Exited ──── v               │                v
//	 │ in time             Dying <──────────┘              Down
//	Held <── Exited, and too many fast deaths in a row
type State uint8

const (
	Down     State = iota // no process; whoever demands the service starts one
	Starting              // a process runs, it has not checked in
	Up                    // it has checked in
	Lost                  // its check-in connection closed, no exit is told yet
	Dying                 // we had it killed, its exit is awaited
	Held                  // no process, and the engine starts none for a while
	states
)

func (s State) String() string {
	return [...]string{"down", "starting", "up", "lost", "dying", "held"}[s]
}

// A Want is what the job should be.
type Want uint8

const (
	OnDemand Want = iota // runs when somebody demands it
	Running              // a new life was asked for and is not up yet
)

func (w Want) String() string { return [...]string{"on-demand", "running"}[w] }

// A Class says how a life ended.
type Class uint8

const (
	None        Class = iota // not known
	Crash                    // of itself
	Deadlock                 // it stood still and used no CPU time
	Livelock                 // it stood still and used CPU time
	Stopped                  // it stood still and could not write its stacks
	NeverReady               // it did not check in by its deadline
	StartFailed              // it never was a process
	Idle                     // it said goodbye: nobody needed it
	Asked                    // it was told to go
	Stall                    // the machine stood still, not the job
	Healthy                  // it did not: this one passed a trial
	classes
)

func (c Class) String() string {
	return [...]string{"none", "crash", "hang/deadlock", "hang/livelock", "stopped", "never-ready",
		"start-failed", "idle", "asked", "stall", "healthy"}[c]
}

// counts says whether the end is the job's own failure.
func (c Class) counts() bool { return c < Idle }

// settled says whether no evidence can change the class.
func (c Class) settled() bool { return c >= NeverReady && c <= Asked }

// A kind is what a note says.
type kind uint8

const (
	started    kind = iota // the engine's news
	startFail              //
	exited                 //
	checkedIn              // the job's news
	connLost               //
	goodbye                //
	beaten                 //
	due                    // the deadline of the state
	healthyDue             // the end of the healthy stretch
	restart                // a wish
	kinds
)

func (k kind) String() string {
	return [...]string{"started", "start-failed", "exited", "checked-in", "lost", "goodbye", "beat",
		"due", "healthy-due", "restart"}[k]
}

func (k kind) begins() bool { return k <= checkedIn } // perhaps a new life
func (k kind) timer() bool  { return k == due || k == healthyDue }
