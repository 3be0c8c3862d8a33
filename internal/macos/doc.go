// Package macos knows the C functions of Apple's libraries that we call: their
// names, their types, who owns what, and since when they are there. It must
// never know what they are called for.
//
// It is the macOS twin of internal/linux: unsafe code, purego and Mach names
// live here and nowhere else. Go names are the C names in mixed caps, so that a
// reader finds the header; values are copied to Go at the door.
//
// The functions of a library are the fields of a struct in a file *_symbols.go,
// named as C names them. The loader fills such a struct at its first use, and a
// test compares every field with testdata/symbols.txt and testdata/
// prototypes.txt on any system, so a binding that Apple's headers do not bear
// out fails with its name long before a Mac sees it.
//
// The floor is macOS 13. What is newer, or missing somewhere, is looked up
// first and answered with ErrNoSymbol.
//
// # libxpc (libSystem; xpc/*.h, macOS 10.7)
//
// Objects are counted: a function named Create, Copy or Retain gives a reference
// that XPCRelease takes back; everything else is borrowed from its container.
// Strings end at their first NUL. Connections are born inactive: give
// them a handler and activate them, even those to be thrown away, for libxpc
// ends the process that releases an inactive or suspended one. A listener's
// handler must activate or cancel each peer it is given.
//
// # libdispatch (libSystem; dispatch/queue.h, macOS 10.6)
//
// Serial queues, for handlers to run on. Nobody serves the main queue.
//
// # Blocks (libSystem; Block.h, macOS 10.6)
//
// There are two C callbacks in the whole process, however many blocks there
// are: one that all blocks are invoked through and one that hears of their end.
// A block's literal holds a handle, and a table has the Go function of each.
//
// Handlers run on threads of the library's. They retain what they keep, hand it
// off and return; a panic in one ends the process.
//
// # Processes and sockets (libSystem; libproc.h, macOS 10.5, launch.h, macOS 10.10)
//
// The census of processes, and the descriptors that launchd holds for a job.
// What x/sys has of libSystem, such as renamex_np and clonefile, is not here.
//
// # CoreFoundation (CoreFoundation/*.h, macOS 10.0)
//
// As much as the libraries below speak: strings, numbers, arrays, dictionaries.
// A function named Create or Copy gives a reference, one named Get lends it.
//
// # Security (Security/SecCode.h, SecStaticCode.h, SecRequirement.h, macOS 10.6)
//
// The system's own judgement of code on disk. Any process may ask.
//
// # SystemConfiguration (SystemConfiguration/SCDynamicStore.h, macOS 10.1)
//
// The graphical sessions there are. Any process may ask.
//
// # IOSurface (IOSurface/IOSurfaceRef.h, macOS 10.6; IOSurfaceAPI.h, macOS 10.7)
//
// Pixels that processes share. A surface travels as an XPC object, never by its
// number. Its pixels are there while it is locked. Whoever made it says what it
// is, and a peer's word is checked before it is believed.
//
// # ScreenCaptureKit, CoreGraphics, CoreMedia, CoreVideo (macOS 12.3)
//
// Pictures of a display, in surfaces of the system's. The one part in Objective-C:
// its messages are in a table, and two more callbacks serve all streams.
package macos
