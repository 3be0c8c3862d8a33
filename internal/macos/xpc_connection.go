//go:build darwin || standin

package macos

import "fmt"

// DispatchQueueCreate is dispatch_queue_create, dispatch/queue.h, macOS 10.6: a
// serial queue.
func DispatchQueueCreate(label string) Ref { return dispatch().dispatch_queue_create(label, 0) }

// DispatchRelease is dispatch_release, dispatch/object.h, macOS 10.6.
func DispatchRelease(o Ref) { dispatch().dispatch_release(o) }

// XPCConnectionCreate is xpc_connection_create without a name: a listener that
// only endpoints lead to. queue 0 is the default one.
func XPCConnectionCreate(queue Ref) Ref { return xpc().xpc_connection_create(nil, queue) }

// XPCConnectionCreateMachService is xpc_connection_create_mach_service. It
// succeeds for names that do not exist: the lookup is at activation.
func XPCConnectionCreateMachService(name string, queue Ref, flags uint64) Ref {
	return xpc().xpc_connection_create_mach_service(name, queue, flags)
}

// XPCConnectionCreateFromEndpoint is xpc_connection_create_from_endpoint.
func XPCConnectionCreateFromEndpoint(endpoint Ref) Ref {
	return xpc().xpc_connection_create_from_endpoint(endpoint)
}

// XPCEndpointCreate is xpc_endpoint_create, xpc/endpoint.h, macOS 10.7.
func XPCEndpointCreate(listener Ref) Ref { return xpc().xpc_endpoint_create(listener) }

// XPCConnectionSetPeerCodeSigningRequirement is the function of this name,
// xpc/connection.h, macOS 12. Once per connection, before activation: more ends
// the process. What is received is checked; the first message sent is not.
func XPCConnectionSetPeerCodeSigningRequirement(conn Ref, requirement string) error {
	set := xpc().xpc_connection_set_peer_code_signing_requirement
	if set == nil {
		return fmt.Errorf("%w: xpc_connection_set_peer_code_signing_requirement", ErrNoSymbol)
	}
	if code := set(conn, requirement); code != 0 {
		return fmt.Errorf("requirement %q: refused with code %d", requirement, code)
	}
	return nil
}

// XPCConnectionSetEventHandler is xpc_connection_set_event_handler. f never runs
// beside itself, and its argument is borrowed: a message, an error, or at a
// listener a connection. It is forgotten after XPCInvalid.
func XPCConnectionSetEventHandler(conn Ref, f func(event Ref)) {
	b := newBlock(func(event, _ Ref) bool { f(event); return false })
	defer releaseBlock(b)
	xpc().xpc_connection_set_event_handler(conn, b)
}

// XPCConnectionSetTargetQueue is xpc_connection_set_target_queue: accepted peers
// have none from their listener.
func XPCConnectionSetTargetQueue(conn, queue Ref) {
	xpc().xpc_connection_set_target_queue(conn, queue)
}

// XPCConnectionActivate is xpc_connection_activate, macOS 10.12. Again is harmless.
func XPCConnectionActivate(conn Ref) { xpc().xpc_connection_activate(conn) }

// XPCConnectionSuspend and XPCConnectionResume must balance before the last release.
func XPCConnectionSuspend(conn Ref) { xpc().xpc_connection_suspend(conn) }
func XPCConnectionResume(conn Ref)  { xpc().xpc_connection_resume(conn) }

// XPCConnectionCancel is xpc_connection_cancel: what is unsent is discarded,
// replies become XPCInvalid, the handler gets XPCInvalid and then nothing.
func XPCConnectionCancel(conn Ref) { xpc().xpc_connection_cancel(conn) }

// XPCConnectionSendMessage is xpc_connection_send_message. It never waits.
func XPCConnectionSendMessage(conn, message Ref) {
	xpc().xpc_connection_send_message(conn, message)
}

// XPCConnectionSendMessageWithReply is xpc_connection_send_message_with_reply:
// f gets the reply or an error on queue, once, and borrowed.
func XPCConnectionSendMessageWithReply(conn, message, queue Ref, f func(reply Ref)) {
	b := newBlock(func(reply, _ Ref) bool { f(reply); return false })
	defer releaseBlock(b)
	xpc().xpc_connection_send_message_with_reply(conn, message, queue, b)
}

// XPCConnectionSendBarrier is xpc_connection_send_barrier: f runs when all that
// was sent before is sent and disposed of, at once if the connection is cancelled.
func XPCConnectionSendBarrier(conn Ref, f func()) {
	b := newBlock(func(_, _ Ref) bool { f(); return false })
	defer releaseBlock(b)
	xpc().xpc_connection_send_barrier(conn, b)
}

// Who sent the latest message; known at once on accepted peers, on others after
// the first exchange, before which they are 0, -1 and -1.

func XPCConnectionGetPID(conn Ref) int     { return int(xpc().xpc_connection_get_pid(conn)) }
func XPCConnectionGetEUID(conn Ref) uint32 { return xpc().xpc_connection_get_euid(conn) }
func XPCConnectionGetEGID(conn Ref) uint32 { return xpc().xpc_connection_get_egid(conn) }
