// Package xpcpeertest knows what every transport of xpcpeer promises, as cases
// that each name the rule they guard. It must never know which transport it is
// given.
package xpcpeertest

import (
	"testing"

	"portward/internal/xpcpeer"
)

// Run checks the transports that fresh makes, each with a namespace of its own.
// It cannot run beside other tests: it counts descriptors and goroutines.
func Run(t *testing.T, fresh func(t *testing.T) xpcpeer.Transport) {
	for _, c := range cases() {
		t.Run(c.rule, func(t *testing.T) {
			leakFree(t)
			c.run(t, fresh(t))
		})
	}
}

type testCase struct {
	rule string
	run  func(*testing.T, xpcpeer.Transport)
}

func cases() []testCase {
	return []testCase{
		{"messages arrive in order", inOrder},
		{"both sides send", bothDirections},
		{"both sides call", callBothWays},
		{"values keep their type", valuesRoundTrip},
		{"a bad dictionary never leaves", badDictionary},
		{"a slow handler delays no reply", slowHandler},
		{"a handler may call its own peer", callInsideHandler},

		{"descriptors arrive with their content", handlesArrive},
		{"handles nobody took are closed", handlesLeft},
		{"kept handles stay open", handlesKept},
		{"sixteen handles arrive, each in its place", manyHandles},

		{"a call needs a deadline", needsDeadline},
		{"a call past its deadline keeps its place", oneOutstanding},
		{"an unwritten request is withdrawn", withdrawn},
		{"an unanswered call is an error", unanswered},
		{"a kept call is answered later", answeredLater},
		{"a call is answered once", answeredOnce},

		{"dial: the peer's end is an interruption", interruption},
		{"dial: what was queued dies with the peer", queueDies},
		{"dial: no such name is invalid", noSuchName},
		{"dial: no successor is invalid", noSuccessor},
		{"dial: nothing happens before the first message", lazyDial},
		{"a reply never reaches a successor", staleReply},
		{"endpoint: the peer's end is invalid", endpointDeath},
		{"accepted: the peer's end is invalid", acceptedDeath},

		{"no policy on the server refuses everyone", serverWithoutPolicy},
		{"no policy on the client refuses everyone", clientWithoutPolicy},
		{"a policy's error is no interruption", policyError},
		{"accept may refuse", acceptRefuses},
		{"a policy is asked for every life", policyAskedAgain},
		{"evidence names the process", evidence},

		{"a client that does not read is flooded out", floodedClient},
		{"a server that does not read is flooded out", floodedServer},
		{"a client that floods delays nobody", floodingClient},
		{"peers are limited, and half for one uid", peerLimit},
		{"who waits for the policy is limited apart from peers", waitingLimit},

		{"close: invalid is last and once", closeOnce},
		{"close: what was sent before still arrives", closeAfterSend},
		{"close inside handlers", closeInsideHandlers},
		{"close amid calls", closeAmidCalls},
		{"a listener's close leaves its peers alone", listenerClose},
		{"activate asks both policies", activate},

		{"an endpoint travels and is relayed", endpointRelayed},
		{"a kept endpoint outlives what it is of", endpointKept},
		{"what is no endpoint is neither dialled nor kept", noEndpoint},
		{"only anonymous listeners have an endpoint", namedEndpoint},
		{"a thousand connections leave nothing", thousandConnections},
	}
}
