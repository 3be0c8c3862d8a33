// Package bundle knows what a bundle is: where its files lie, the seal that
// lists them, and which program an executable is. It must never know who
// vouches for a seal, or when a bundle is installed.
//
// A bundle is a directory with an app, laid out as a Mac has it, and beside the
// app what vouches for it:
//
//	Portward.app/Contents/Info.plist
//	Portward.app/Contents/MacOS/{supervisor,netchild,guiagent,portward}
//	Portward.app/Contents/Library/LaunchDaemons/LABEL.plist
//	Portward.app/Contents/Library/LaunchAgents/LABEL.plist
//	Portward.app/Contents/Resources/
//	Portward.app/Contents/_CodeSignature/CodeResources    where it is signed
//	seal.json
//	tuf/{root,targets}.json
//
// The seal lists every file of the app, Apple's signature included, and that
// signature covers every file of the app: so the seal cannot lie in it.
//
// Nothing in it is ever written again: every change is a new bundle, of new
// inodes or of links to ones that did not change. The seal lists everything but
// itself and the files in tuf, which vouch for it: they may be there or not, and
// this package looks at their kind and size only.
package bundle

import (
	"path/filepath"
	"strings"
)

// Name is the installed bundle's, below the product's root directory.
const Name = "current"

// App is the app's, in a bundle.
const App = "Portward.app"

// Main is the app's main program: what macOS takes the app for is what it takes
// this program for.
const Main = "guiagent"

// Identifier is the app's, which is its main program's, so that privacy settings,
// signatures and property lists mean the same thing.
const Identifier = vendor + "." + Main

// vendor begins every program's identifier.
const vendor = "dev.portward"

// IdentifierOf answers that of the program of that name, "netchild".
func IdentifierOf(program string) string { return vendor + "." + program }

// The places inside, with slashes, as in a seal.
const (
	contentsDir  = App + "/Contents"
	programsDir  = contentsDir + "/MacOS"
	libraryDir   = contentsDir + "/Library"
	resourcesDir = contentsDir + "/Resources"
	infoFile     = contentsDir + "/Info.plist"
	sealFile     = "seal.json"
	tufDir       = "tuf"
)

// A Layout is the path of a bundle; its methods are the paths of its parts.
type Layout string

// Of answers the bundle in which program is an executable, by the names alone.
func Of(program string) string {
	return strings.TrimSuffix(filepath.Dir(program), string(filepath.Separator)+filepath.FromSlash(programsDir))
}

// App answers the app.
func (l Layout) App() string { return l.join(App) }

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
