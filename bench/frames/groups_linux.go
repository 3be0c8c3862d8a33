package frames

import (
	"context"
	"fmt"
	"os/exec"

	"portward/bench/harness"
	"portward/bench/talk"
)

// Groups are what this room measures.
func Groups(env harness.Env) []harness.Group {
	s := studio{env}
	return []harness.Group{s.capture(), s.draw(), s.gap(), s.agents(), s.viewers()}
}

// A studio opens contestants.
type studio struct{ env harness.Env }

// opener is what a case does to begin: n samples for each turn, of the contestant
// with these arguments. It is absent where a program that it needs is.
func (s studio) opener(n int, fresh bool, needs string, args ...string) func(context.Context) (harness.Turn, error) {
	return func(context.Context) (harness.Turn, error) {
		if _, err := exec.LookPath(needs); needs != "" && err != nil {
			return harness.Turn{}, harness.Absent(needs + " is not here")
		}
		path, err := s.env.Program("frames/contestant")
		if err != nil {
			return harness.Turn{}, err
		}
		dir, err := s.env.Dir(args[0])
		if err != nil {
			return harness.Turn{}, err
		}
		c := talk.Command{Path: path, Args: append(args[:len(args):len(args)], "-dir", dir)}
		if fresh {
			return c.FreshTurn("", n), nil
		}
		return c.Turn("", n)
	}
}

func (s studio) capture() harness.Group {
	return harness.Group{
		Name: "capture", Title: "A whole 1080p screen of an X server, captured", Unit: harness.Seconds, Rounds: 12,
		Cases: []harness.Case{
			{Name: "portward", Open: s.opener(30, false, "Xvfb", "capture")},
			{Name: "GetImage", Open: s.opener(15, false, "Xvfb", "capture", "-plain")},
		},
		Goals: []harness.Goal{{Of: "portward", To: "GetImage", Least: 10, Text: "at least 10 times as fast as plain GetImage"}},
		Notes: `Each contestant has an Xvfb of its own. portward: from the moment at which the source may fetch the picture (it keeps to the pace of a display) until ` +
			`another process had it through Chain and Sink and gave it back; the X server writes into the surface itself. ` +
			`GetImage: the core protocol's request, the picture in one process's memory at the end.`,
	}
}

func (s studio) draw() harness.Group {
	return harness.Group{
		Name: "draw", Title: "A change of 320x320 pixels, drawn in Chromium", Unit: harness.Seconds, Rounds: 12,
		Cases: []harness.Case{
			{Name: "portward", Open: s.opener(20, false, "chromium", "draw")},
			{Name: "JPEG tiles", Open: s.opener(10, false, "chromium", "draw", "-plain")},
		},
		Goals: []harness.Goal{{Of: "portward", To: "JPEG tiles", Least: 5, Text: "at least 5 times as fast as one JPEG picture for each tile of 64x64"}},
		Notes: `Each contestant has a headless Chromium of its own, over TLS and one WebSocket on loopback, without a GPU. A sample begins before the change is painted into a picture of 1920x1080 ` +
			`and ends when the page, which says itself what it has drawn, was heard by the server over a second WebSocket; that way back is in both. ` +
			`portward: chain, hub and viewer in one process, and the page as shipped. JPEG tiles: image/jpeg with quality 75, 25 tiles in one message, createImageBitmap and drawImage for each.`,
	}
}

func (s studio) gap() harness.Group {
	return harness.Group{
		Name: "gap", Title: "SIGKILL of netchild: from the broken connection to the next frame, as the agent counts", Unit: harness.Seconds, Rounds: 12,
		Cases: []harness.Case{
			{Name: "portward", Open: s.openUp},
			{Name: "floor in C", Open: s.openRedial},
		},
		Goals: []harness.Goal{{Of: "portward", To: "floor in C", Stat: harness.P95, Most: 4, Text: "p95 of the whole product at most 4 times that of a redial and reattach in C"}},
		Plot:  harness.Plot{Log: true},
		Notes: `portward: the whole product by "portward up" with one login that shows a test card of 640x360 at 30 frames a second, netchild killed after a healthy stretch; ` +
			`its death is found, judged and recorded, netchild is started on demand, checks in, proves itself and its agent, opens its port and takes the surfaces. ` +
			`floor: fork, exec, accept, three sealed surfaces of that size mapped after a look at their seals, one frame; nobody proves anything, nothing is recorded.`,
	}
}

func (s studio) openRedial(context.Context) (harness.Turn, error) {
	path, err := s.env.Floor("redial")
	if err != nil {
		return harness.Turn{}, err
	}
	return talk.Command{Path: path, Args: []string{"921600"}}.Turn("", 10)
}

// loadNote is for both curves.
const loadNote = `A sample is the CPU time of the process that is netchild in this benchmark (hub, sinks and viewer; no check-in, no identities), divided by the frames that it took; ` +
	`each agent shows a test card of 640x360 at 30 frames a second. Agents and viewers are all in another process. ` +
	`With few frames a second most of it is the Go runtime's monitor, which watches each thread that waits in the kernel for 10 ms before it sleeps itself: it is shared by all agents. `

func (s studio) agents() harness.Group {
	g := harness.Group{
		Name: "agents", Title: "CPU time of a frame in netchild as agents grow, nobody watching", Unit: harness.Seconds, Rounds: 4,
		Plot: harness.Plot{Curve: true, XTitle: "agents"}, Notes: loadNote,
	}
	for _, n := range []int{1, 5, 10, 25, 50} {
		g.Cases = append(g.Cases, harness.Case{
			Name: fmt.Sprintf("portward, %d agents", n), X: float64(n),
			Open: s.opener(30*n, true, "", "load", "-agents", fmt.Sprint(n)),
		})
	}
	return g
}

func (s studio) viewers() harness.Group {
	g := harness.Group{
		Name: "viewers", Title: "CPU time of a frame of one agent in netchild as viewers grow", Unit: harness.Seconds, Rounds: 4,
		Plot:  harness.Plot{Curve: true, XTitle: "viewers"},
		Notes: loadNote + `Each viewer is a WebSocket over TLS that reads all it is sent; a turn in which they are shown less than half of the frames fails.`,
	}
	for _, n := range []int{1, 2, 5, 10, 20} {
		g.Cases = append(g.Cases, harness.Case{
			Name: fmt.Sprintf("portward, %d viewers", n), X: float64(n),
			Open: s.opener(30, true, "", "load", "-viewers", fmt.Sprint(n)),
		})
	}
	return g
}
