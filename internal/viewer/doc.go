// Package viewer knows how a person with the token sees the hub's sessions in a
// browser: one page, one WebSocket, one identity. It must never know how a
// frame is made, who the agents are, or show anything before the token is proven.
//
// # Protocol
//
// The page connects to /ws and says, within five seconds, its only message:
//
//	{"type":"hello","token":"..."}
//
// A wrong token is answered by a close with status 1008. To the right one the
// server sends text messages
//
//	{"type":"hello","version":1,"now":t,"life":n,"started":t,"sessions":[...]}
//	{"type":"sessions","now":t,"sessions":[{"index","id","width","height","fps","frames"},...]}
//
// the first once, the second when a session comes or goes and about once a
// second, and binary updates in the layout of package hub: all that changed in a
// frame in one message, which the page decodes and draws in one go. Times are
// RFC 3339. Ping frames are the only other traffic; whatever else the page sends
// ends the connection.
//
// A page that hears another version than its own loads itself anew: an update has
// brought the server, and the page with it.
//
// A viewer that is slow gets fewer updates, and delays nobody: what waits for it
// is a short lane for each session (see outbox), in which a whole picture takes
// the place of what is there. Who takes not even a MiB of it, or of a message what is
// left, in twenty seconds is let go.
//
// # The page
//
// Elements whose names are kept for tests and scripts:
//
//	#status              data-state: connecting, connected, reconnecting, unauthorised
//	#sessions            one .session per screen of a login, ID as hub.StreamID, and its
//	#screen-ID           canvas; data-seq: last frame drawn, data-fps: frames/s as the
//	                     hub counts, data-bps: bytes/s of updates that the page received
//	#session-ID          card around it; data-state: waiting, live, reconnecting; in it
//	.fps, .bps           frames/s that the page drew, and data-bps in words
//	#empty               shown when there is no session
//	#denied              shown when the token is missing or wrong
//	#lives               one li per life that this page has seen
//	#life-N              data-life, data-start, data-end (ms since 1970; no end: it lives)
//
// A session's canvas stays, dimmed, while the connection is down and for five
// seconds after its agent has gone.
package viewer
