package wire

import "fmt"

// A Role is a sender of messages, as the receiver sees it. Which role a peer
// has follows from the connection and from what the kernel says of the peer,
// never from the message.
type Role uint8

// The roles.
const (
	RoleAgent      Role = iota + 1 // a guiagent towards netchild
	RoleTool                       // another client of netchild
	RoleServer                     // netchild towards its agents and tools
	RoleNetchild                   // netchild towards the supervisor
	RoleSupervisor                 // the supervisor towards netchild
	RoleCaller                     // whoever holds an agent's endpoint, towards the agent
)

func (r Role) String() string {
	switch r {
	case RoleAgent:
		return "agent"
	case RoleTool:
		return "tool"
	case RoleServer:
		return "server"
	case RoleNetchild:
		return "netchild"
	case RoleSupervisor:
		return "supervisor"
	case RoleCaller:
		return "caller"
	}
	return fmt.Sprintf("Role(%d)", uint8(r))
}

// A Phase is how far a connection got. Both directions share it.
type Phase uint8

// The phases, in their order. A caller of an agent's endpoint greets nobody,
// its connection stays fresh; netchild and the supervisor are greeted by
// check-in and terms and never attached.
const (
	PhaseFresh    Phase = iota + 1 // nothing was said
	PhaseGreeted                   // hello and welcome, or check-in and terms
	PhaseAttached                  // at least one chain
	PhaseLeaving                   // goodbye was said
)

func (p Phase) String() string {
	switch p {
	case PhaseFresh:
		return "fresh"
	case PhaseGreeted:
		return "greeted"
	case PhaseAttached:
		return "attached"
	case PhaseLeaving:
		return "leaving"
	}
	return fmt.Sprintf("Phase(%d)", uint8(p))
}

// permits lists what each role may send of its own accord, calls included, in
// each phase. Replies are not in it: they belong to a call, and their parsers
// take nothing but the answers to it.
var permits = map[Role]map[Phase][]Kind{
	RoleAgent: {
		PhaseFresh:    {KindHello},
		PhaseGreeted:  {KindAttach, KindDetach, KindRelay, KindLease},
		PhaseAttached: {KindAttach, KindAdd, KindDetach, KindRelay, KindLease},
		PhaseLeaving:  {KindDetach},
	},
	RoleTool: {
		PhaseFresh:    {KindHello},
		PhaseGreeted:  {KindRelay},
		PhaseAttached: {},
		PhaseLeaving:  {},
	},
	RoleServer: {
		PhaseFresh:    {KindGoodbye},
		PhaseGreeted:  {KindGoodbye},
		PhaseAttached: {KindGoodbye},
		PhaseLeaving:  {},
	},
	RoleNetchild: {
		PhaseFresh:    {KindCheckIn},
		PhaseGreeted:  {KindBeat, KindGoodbye, KindLease},
		PhaseAttached: {},
		PhaseLeaving:  {KindBeat},
	},
	RoleSupervisor: {
		PhaseFresh:    {},
		PhaseGreeted:  {KindSessions},
		PhaseAttached: {},
		PhaseLeaving:  {KindSessions}, // may have crossed the goodbye
	},
	RoleCaller: {
		PhaseFresh:    {KindPing, KindRefresh, KindDescribe},
		PhaseGreeted:  {},
		PhaseAttached: {},
		PhaseLeaving:  {},
	},
}

// Permit says whether role may send kind in phase. An optional kind ("x-...")
// is permitted wherever the role may say anything: the receiver ignores it if
// it does not know it, and answers CodeUnknown if it was a call. Everything
// else that is not in the table is refused with CodeNotPermitted.
func Permit(role Role, phase Phase, kind Kind) bool {
	allowed := permits[role][phase]
	for _, k := range allowed {
		if k == kind {
			return true
		}
	}
	return kind.Optional() && len(allowed) > 0
}
