package ipc

import (
	"strconv"

	"portward/bench/harness"
	"portward/bench/talk"
)

// A size is a frame's, in pixels.
type size struct {
	name          string
	width, height int
}

var (
	hd  = size{"1080p", 1920, 1080}
	uhd = size{"4K", 3840, 2160}
)

func (s size) args(way string, more ...string) []string {
	return append([]string{way, "-width", strconv.Itoa(s.width), "-height", strconv.Itoa(s.height)}, more...)
}

func (s size) bytes() string { return strconv.Itoa(s.width * s.height * 4) }

// Where the halves of a pair are, in a case's name. Goals are about those that the
// scheduler places, as it does elsewhere.
var places = []struct {
	place talk.Place
	name  string
}{{talk.Free, ""}, {talk.Same, ", one CPU"}, {talk.Two, ", two CPUs"}}

// placesNote is for every group whose pairs are pinned, too.
const placesNote = `Each contestant is a pair of processes that the scheduler may place. ` +
	`"one CPU": both halves are pinned to one processor; "two CPUs": each half to one of its own, so that two wake-ups of another processor are in each sample and weigh more than all else. ` +
	`A tenth of each turn is done before the samples and not counted. `

// turns is how often each pair has its turn, and samples how many a short one
// answers.
const (
	turns   = 15
	samples = 400
)

// inPlaces is c in all places.
func inPlaces(cs ...contender) []contender {
	var all []contender
	for _, p := range places {
		for _, c := range cs {
			c.name += p.name
			c.place = p.place
			all = append(all, c)
		}
	}
	return all
}

func (p *pairs) control() harness.Group {
	return harness.Group{
		Name: "control", Title: "Control messages, there and back", Unit: harness.Seconds, Rounds: turns,
		Cases: p.cases(inPlaces(
			contender{name: "transport", args: []string{"link"}, n: samples},
			contender{name: "Call", args: []string{"call"}, dir: true, n: samples},
			contender{name: "floor in C", floor: "seqpacket", n: samples},
			contender{name: "blocking thread in Go", args: []string{"blocking"}, n: samples},
			contender{name: "net.UnixConn", args: []string{"datagram"}, n: samples},
		)...),
		Goals: []harness.Goal{
			{Of: "transport", To: "floor in C", Most: 1.2, Text: "transport of 16 bytes at most 1.2 times a C seqpacket ping-pong"},
			{Of: "Call", To: "floor in C", Most: 3, Text: "an authenticated Call with CBOR at most 3 times the same"},
		},
		Plot: harness.Plot{Log: true},
		Notes: placesNote + `The floor is send(2) and recv(2) of 16 bytes on SOCK_SEQPACKET, blocking. "transport" is what carries our messages, with nothing above it: ` +
			`its own socket link, a blocking socket outside the runtime's poller, 16 bytes that nobody decodes. "blocking thread in Go" is what the same bytes cost without its timeout, evidence and looks at the end. "Call" is Conn.Call with a Ping answered by a Pong, between peers whose policies have looked at the kernel's evidence.`,
	}
}

func (p *pairs) handOver(name, title string, s size) harness.Group {
	slow := max(4, 40*hd.height/s.height*hd.width/s.width)
	cs := inPlaces(
		contender{name: "portward", args: s.args("surfaces"), n: samples},
		contender{name: "floor in C", floor: "ring", args: []string{s.bytes()}, n: samples},
	)
	cs = append(cs,
		contender{name: "D-Bus descriptor", args: s.args("dbus"), dir: true, needs: "dbus-daemon", n: samples / 4, version: "godbus 5.2.4"},
		contender{name: "copy", args: s.args("copy"), n: slow},
		contender{name: "gRPC", args: s.args("grpc"), dir: true, n: slow, version: "grpc-go 1.85.0"},
	)
	return harness.Group{
		Name: name, Title: title, Unit: harness.Seconds, Rounds: turns, Cases: p.cases(cs...),
		Goals: []harness.Goal{
			{Of: "portward", To: "floor in C", Most: 1.3, Text: "at most 1.3 times a ring in C"},
			{Of: "portward", To: "D-Bus descriptor", Least: 20, Text: "at least 20 times as fast as a descriptor by D-Bus"},
			{Of: "portward", To: "gRPC", Least: 1000, Text: "at least 1000 times as fast as the pixels by gRPC over a Unix socket"},
		},
		Plot: harness.Plot{Log: true},
		Notes: placesNote + `A sample is the time from handing a frame of ` + s.name + ` over to having it back, while nothing else is out. Nobody paints: what painting and reading cost ` +
			`is the same for all who share memory. The floor is a ring in shared memory with futex(2), which checks nothing; portward is Chain and Sink as agents and netchild use them, and the thread of the chain that learns of a release submits the next frame, as the floor's does; ` +
			`D-Bus carries the descriptor of a sealed memory in a method call through a private dbus-daemon, whose receiver maps each memory once; ` +
			`"copy" writes the pixels into a stream socket; gRPC sends them in messages of one stream, without TLS and without protobuf's own work.`,
	}
}

func (p *pairs) busy() harness.Group {
	const few = 25
	load := []string{"-busy", "-pace", "4ms"}
	return harness.Group{
		Name: "busy", Title: "Hand-over of a 1080p frame while every P of the consumer encodes", Unit: harness.Seconds, Rounds: turns,
		Cases: p.cases(
			contender{name: "portward", args: hd.args("surfaces", load...), n: few, fresh: true},
			contender{name: "net.UnixConn", args: hd.args("sockets", load...), n: few, fresh: true},
		),
		Goals: []harness.Goal{{Of: "portward", To: "net.UnixConn", Least: 50, Text: "at least 50 times as fast as descriptors by net.UnixConn"}},
		Plot:  harness.Plot{Log: true},
		Notes: `Each contestant is a pair of processes that the scheduler may place. A frame is handed over 4 ms after the one before came back. ` +
			`In the consumer as many goroutines as there are Ps compress pixels without pause, which netchild itself does not allow (its encoders leave a P free). ` +
			`Both share the pixels; net.UnixConn carries a descriptor of 16 bytes each way.`,
	}
}

func (p *pairs) size() harness.Group {
	sizes := []size{{"720p", 1280, 720}, hd, {"1440p", 2560, 1440}, uhd, {"8K", 7680, 4320}}
	var cs []contender
	for _, s := range sizes {
		x := float64(s.width*s.height) / 1e6
		cs = append(cs,
			contender{name: "portward, " + s.name, x: x, args: s.args("surfaces", "-cpu"), n: 2000},
			contender{name: "copy, " + s.name, x: x, args: s.args("copy", "-cpu"), n: 10},
		)
	}
	return harness.Group{
		Name: "size", Title: "CPU time of a frame's hand-over, both processes, as frames grow", Unit: harness.Seconds, Rounds: 5, Cases: p.cases(cs...),
		Goals: []harness.Goal{{Of: "portward, 8K", To: "portward, 720p", Most: 1.5, Text: "flat in size: 8K at most 1.5 times 720p"}},
		Plot:  harness.Plot{Curve: true, XTitle: "megapixels", Log: true},
		Notes: `A sample is the CPU time of both processes of a pair over many frames, divided by their number; the scheduler may place them. ` +
			`"copy" sends the pixels through a stream socket, for comparison.`,
	}
}
