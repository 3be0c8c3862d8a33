// Package bundle knows what a bundle is: where its files lie, the seal that
// lists them, and which program an executable is. It must never know who
// vouches for a seal, or when a bundle is installed.
//
// A bundle is laid out as a Mac has it:
//
//	Portward.app/Contents/Info.plist
//	Portward.app/Contents/MacOS/{supervisor,netchild,guiagent}
//	Portward.app/Contents/Library/LaunchDaemons/LABEL.plist
//	Portward.app/Contents/Library/LaunchAgents/LABEL.plist
//	Portward.app/Contents/Resources/seal.json
//
// Nothing in it is ever written again: every change is a new bundle of new
// inodes. The seal lists everything but itself.
package bundle

import "path/filepath"

// Name is the bundle's, below the product's root directory.
const Name = "Portward.app"

// Identifier is the bundle's; those of its programs continue it.
const Identifier = "dev.portward"

// The places inside, with slashes, as in a seal.
const (
	programsDir = "Contents/MacOS"
	libraryDir  = "Contents/Library"
	infoFile    = "Contents/Info.plist"
	sealFile    = "Contents/Resources/seal.json"
)

// A Layout is the path of a bundle; its methods are the paths of its parts.
type Layout string

// Program answers the executable of that name.
func (l Layout) Program(name string) string { return l.join(programsDir + "/" + name) }

// LaunchDaemons answers the directory of the daemons' property lists.
func (l Layout) LaunchDaemons() string { return l.join(libraryDir + "/LaunchDaemons") }

// LaunchAgents answers the directory of the agents' property lists.
func (l Layout) LaunchAgents() string { return l.join(libraryDir + "/LaunchAgents") }

// Seal answers the seal's file.
func (l Layout) Seal() string { return l.join(sealFile) }

func (l Layout) join(inside string) string {
	return filepath.Join(string(l), filepath.FromSlash(inside))
}
