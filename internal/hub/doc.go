// Package hub knows which logins stream, who watches, and how a frame becomes
// one message for a viewer; its loop is what netchild's heart-beat proves alive.
// It must never know a socket, a browser, a process or the supervisor.
//
// One goroutine, Run, owns all state and works through one bounded queue. It
// beats only after finishing an item of that queue: a ticker may ask for a beat
// by queueing an item that does nothing, but never beats itself, so a loop that
// stands still is seen to stand still.
//
// The walk of a frame: the session's own goroutine takes it from Frames, tells
// the loop, and learns whether anybody could use it. If so it packs and
// compresses the changed rectangles (outside the loop), gives the frame back and
// hands the message to the loop, which offers it to the viewers. Without a
// viewer a frame is given back with no pixel touched.
//
// Encoders are one fewer than the processors, so that the loop, and frames that
// nobody wants, never wait behind encoding. A turn is a band of the picture, not a picture, and who
// waited for one longest is next; so a large picture takes long for its own session
// alone. What of a message is ready waits with the session: at most one picture for
// each. Frames of a session are taken no faster than its pace allows.
//
// A viewer is, for each session, current, stale or blocked. Only a frame that
// covers the whole picture makes it current; a change that it could not take
// makes it blocked. That ends when a whole frame comes by itself and finds room,
// or when the viewer says that its queue has drained: then it is stale, and the
// hub asks the session for a whole frame.
package hub
