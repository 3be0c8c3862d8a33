// Package launchd knows the product's jobs as launchd is told of them: the
// property lists, and the names in them that programs must agree on. It must
// never know how a job is run.
//
// The files are launchd.plist(5) property lists, valid as they stand on macOS.
// Other engines read the same files and replace Prefix by the root they are
// given, and nothing else.
package launchd

import (
	"embed"
	"io/fs"
	"time"
)

// Labels of the jobs. A job's file is named after its label, its program after
// the label's last part; only Rescue and LoginAgent run another one's.
const (
	Supervisor = "dev.portward.supervisor"
	NetChild   = "dev.portward.netchild"
	GUIAgent   = "dev.portward.guiagent"
	Rescue     = "dev.portward.rescue"
	LoginAgent = "dev.portward.guiagent.loginwindow" // GUIAgent's program: see Optional
)

// How Rescue runs: the supervisor that an update replaces, put aside at
// Prefix/RescueProgram before Rescue is loaded, with RescueFlag as its only
// argument, every RescueInterval.
const (
	RescueProgram  = "update/rescue/supervisor"
	RescueFlag     = "--rescue"
	RescueInterval = 30 * time.Second
)

// Names that a job's engine holds for it, over all its lives.
const (
	CheckInService  = "dev.portward.supervisor.checkin" // the supervisor's MachServices: netchild checks in here
	NetChildService = "dev.portward.netchild"           // netchild's MachServices: agents and tools connect here
	ViewerSocket    = "viewer"                          // netchild's Sockets: viewers connect here
)

// Prefix is the one fixed directory that the files name.
const Prefix = "/Library/Application Support/Portward"

// Programs is where the live bundle has the jobs' programs.
const Programs = Prefix + "/current/Portward.app/Contents/MacOS"

// Bundle is the identifier of the application to which macOS counts the jobs
// where it shows people what runs in the background: the app's, whose main program
// is the agent.
const Bundle = GUIAgent

// RootVariable is the environment variable in which every job finds Prefix, or
// what its engine has put in Prefix's place.
const RootVariable = "PORTWARD_ROOT"

//go:embed LaunchDaemons/*.plist LaunchAgents/*.plist
var files embed.FS

//go:embed Optional/LaunchAgents/*.plist
var optional embed.FS

// Files answers LaunchDaemons/LABEL.plist and LaunchAgents/LABEL.plist, as they
// lie below a bundle's Portward.app/Contents/Library and below a Mac's /Library. Daemons
// belong to domain "system", agents to every "gui" domain. Rescue
// is loaded for a trial only. A trial outlives a start of the machine, and the
// supervisor that would load Rescue then may be the one that cannot run: so
// whoever loads the supervisor loads Rescue too where RescueProgram is there.
func Files() fs.FS { return files }

// Optional answers LaunchAgents/LABEL.plist of jobs that are not part of a bundle
// and that nobody loads who was not asked to. LoginAgent is launchd's alone: it is
// loaded at the login window, as root, when its file lies in /Library/LaunchAgents.
func Optional() fs.FS {
	sub, err := fs.Sub(optional, "Optional")
	if err != nil {
		panic("launchd: " + err.Error()) // the name is valid
	}
	return sub
}
