// Package bundle knows what a bundle is: where its files lie, the seal that
// lists them, and which program an executable is. It must never know who
// vouches for a seal, or when a bundle is installed.
//
// A bundle is laid out as a Mac has it:
//
//	Portward.app/Contents/Info.plist
//	Portward.app/Contents/MacOS/{supervisor,netchild,guiagent,portward}
//	Portward.app/Contents/Library/LaunchDaemons/LABEL.plist
//	Portward.app/Contents/Library/LaunchAgents/LABEL.plist
//	Portward.app/Contents/Resources/seal.json
//	Portward.app/Contents/Resources/tuf/{root,targets}.json
//
// Nothing in it is ever written again: every change is a new bundle, of new
// inodes or of links to ones that did not change. The seal lists everything but
// itself and the files in tuf, which vouch for it: they may be there or not, and
// this package looks at their kind and size only.
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
	tufDir      = "Contents/Resources/tuf"
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

// Tuf answers the directory of the metadata that vouch for the seal: root.json
// and targets.json, mode 0644 in a directory of mode 0755.
func (l Layout) Tuf() string { return l.join(tufDir) }

func (l Layout) join(inside string) string {
	return filepath.Join(string(l), filepath.FromSlash(inside))
}
