// Package xpcpeer knows authenticated connections between processes that carry
// dictionaries and the kernel objects in them, with the meaning XPC gives to
// them (xpc/connection.h): one-way messages in order, calls with replies in
// both directions, interruption and invalidation, anonymous listeners and
// endpoints that travel inside messages. It must never know what a message
// says, what a surface is, or who is allowed: it gathers Evidence, the Policy
// passed in decides, and no policy means no.
//
// # Interruption and invalidation
//
//	what happens                              connection made by    its owner sees
//	the peer dies or closes its side          Dial                  Interrupted; the next message connects again
//	the same                                  DialEndpoint,
//	                                          FromFile, Listen      Invalid
//	the name does not exist, nobody listens,
//	a policy says no, the peer lies or floods any                   Invalid
//	Close                                     any                   Invalid, with ErrInvalid
//
// At an interruption calls in flight end with ErrInterrupted and messages not
// yet written are dropped without notice, as in XPC. After Invalid nothing is
// ever reported again.
//
// # Rules XPC has, and so has this package
//
//   - Handlers of one connection never run at the same time. A handler that is
//     slow slows its own peer down, by back-pressure, and nobody else.
//   - A handler may Send, Reply and Close. It should not Call on its own
//     connection: XPC would wait for ever; here the answer is found as long as
//     no more than eight messages arrived before it.
//   - Send never waits. Close discards what the peer does not take at once.
//   - Closing a Listener leaves the connections it accepted alone.
//   - A call nobody answers by the time the handler returns, and that was not
//     kept for later, is answered with an error: ErrUnanswered.
//
// # Calls in flight
//
// A call occupies one of MaxOutstanding places from the moment its request is
// written until its reply arrives or the connection dies. The end of the
// caller's context ends the caller's wait, not the occupation: a peer that is
// stopped holds MaxOutstanding calls at most, and each further one answers
// ErrBusy at once. A request that was not written yet is withdrawn.
//
// # On macOS
//
// The XPC transport uses the classic connections of libxpc. launchd holds the
// names: a service that does not run is started by the first message, and a
// listener that loses its name asks for it again. Its peers are proven by
// Config.Requirement, which the system checks for every message; a client that
// the listener's requirement denies is told nothing and sees an interruption,
// while the side that finds its peer wanting sees Invalid, with ErrRefused.
//
// A peer in another language sends native dictionaries:
//
//   - Its first message is {"portward.hello": uint64 1}, with reply. The reply is
//     {"portward.welcome": uint64 1}, and from then on both sides may send; or it
//     is {"portward.failure": "refused"}. A message before the welcome ends the
//     connection.
//   - After that a message is its dictionary, of wire.Dict's types and within
//     wire's limits, and a call is a message with reply. A reply is a dictionary;
//     {"portward.failure": string} in its place, of 64 bytes at most, says that
//     nobody answers.
//   - No other key begins with "portward.".
//   - After XPC_ERROR_CONNECTION_INTERRUPTED it says hello again, or makes a new
//     connection, as this package does: whatever else comes first is nobody's.
//   - A descriptor is an xpc_fd, an endpoint an xpc_endpoint, a surface what
//     IOSurfaceCreateXPCObject makes. Shared memory that is no IOSurface is
//     {"portward.surface": xpc_fd} as a value.
//
// A reader that is behind suspends its connection, which holds up its sending,
// too. Close gives libxpc a second to write what it was given.
package xpcpeer
