package watchdog

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// reach brings a dog with FastDeaths 3 into a state, in life 3 (or after it).
var reach = [states]func(*world){
	Down:     func(w *world) { w.start(3); w.dog.Goodbye(3, "idle"); w.dog.Exited(3, Exit{}) },
	Starting: func(w *world) { w.dog.Started(3, 103, time.Now()) },
	Up:       func(w *world) { w.start(3) },
	Lost:     func(w *world) { w.start(3); w.dog.Lost(3) },
	Dying:    func(w *world) { w.dog.Started(3, 103, time.Now()); time.Sleep(policy.StartWithin) },
	Held:     func(w *world) { w.crashLoop(1, 3) },
}

// cells says, for each state and note, what becomes of it and what is called.
// The notes are of life 3, or of life 4 where life 3 is over.
var cells = [states][kinds]string{
	Down: {
		started: "starting", startFail: "down: see 4 start-failed", exited: "down: see 4 none",
		checkedIn: "up", connLost: "down", goodbye: "down", beaten: "down",
		due: "down", healthyDue: "down", restart: "down: kick",
	},
	Starting: {
		started: "starting", startFail: "down: see 3 start-failed", exited: "down: see 3 none",
		checkedIn: "up", connLost: "starting", goodbye: "starting", beaten: "starting",
		due: "dying: see 3 never-ready, kill 3", healthyDue: "starting", restart: "dying: rekick",
	},
	Up: {
		started: "up", startFail: "down: see 3 start-failed", exited: "down: see 3 none",
		checkedIn: "up", connLost: "lost", goodbye: "up", beaten: "up",
		due: "dying: see 3 hang/deadlock, kill 3", healthyDue: "up", restart: "dying: rekick",
	},
	Lost: {
		started: "lost", startFail: "down: see 3 start-failed", exited: "down: see 3 none",
		checkedIn: "up", connLost: "lost", goodbye: "lost", beaten: "lost",
		due: "dying: kill 3", healthyDue: "lost", restart: "dying: rekick",
	},
	Dying: { // evidence was taken before the kill
		started: "dying", startFail: "down", exited: "down",
		checkedIn: "dying: refused", connLost: "dying", goodbye: "dying", beaten: "dying",
		due: "down", healthyDue: "dying", restart: "dying: rekick",
	},
	Held: { // 10 s from the third death; the next is the fourth in a row
		started: "starting", startFail: "held: see 4 start-failed, hold 20s", exited: "held: see 4 none, hold 20s",
		checkedIn: "up", connLost: "held", goodbye: "held", beaten: "held",
		due: "down", healthyDue: "held", restart: "down: lift, kick",
	},
}

// Every state sees every note, and "nothing happens" is said, not left out. A
// new state or kind of note fails here until its cells are written.
func TestEveryStateSeesEveryNote(t *testing.T) {
	for s := range states {
		for k := range kinds {
			t.Run(s.String()+"/"+k.String(), func(t *testing.T) {
				if moves[s][k] == nil || reach[s] == nil || cells[s][k] == "" {
					t.Fatal("no cell for this state and note")
				}
				inWorld(t, policy, func(t *testing.T, w *world) {
					reach[s](w)
					w.is(s)
					w.forget()
					want, calls, _ := strings.Cut(cells[s][k], ": ")
					refused := w.tell(k)
					if calls == "refused" {
						calls = ""
						if !errors.Is(refused, ErrStranger) {
							t.Errorf("answer %v, want ErrStranger", refused)
						}
					} else if refused != nil {
						t.Errorf("answer %v, want none", refused)
					}
					if calls == "" {
						w.did()
					} else {
						w.did(strings.Split(calls, ", ")...)
					}
					if got := w.status().State.String(); got != want {
						t.Errorf("state is %s, want %s", got, want)
					}
				})
			})
		}
	}
}

// tell sends a note of that kind about the life it would be about.
func (w *world) tell(k kind) error {
	d := w.dog
	life := Life(3)
	if !d.alive() {
		life = 4
	}
	n := note{kind: k, life: life, pid: 1, exit: Exit{Code: 1}, text: "idle"}
	switch {
	case k == checkedIn:
		return d.CheckedIn(life)
	case k == restart:
		go d.Restart(w.t.Context())
	case k.timer():
		n.life, n.turn, n.at = d.life, d.turn, time.Now()
		if k == due && d.is == Up {
			w.dog.ask(w.t.Context(), note{do: func() error { d.run.beatAt = time.Time{}; return nil }})
		}
		fallthrough
	default:
		d.send(n)
	}
	synctest.Wait()
	return nil
}

// A name for each value, and no two alike.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	check := func(s string) {
		if s == "" || seen[s] {
			t.Errorf("name %q is empty or used twice", s)
		}
		seen[s] = true
	}
	for k := range kinds {
		check(k.String())
	}
	clear(seen)
	for s := range states {
		check(s.String())
	}
	clear(seen)
	for c := range classes {
		check(c.String())
	}
	check(OnDemand.String())
	check(Running.String())
}

// Rule: life numbers on everything; news of a life that is over, or of none at
// all, changes nothing. (canonical/pebble: a kill timer of one stop fired in the
// next.)
func TestStrangersChangeNothing(t *testing.T) {
	for k := range kinds {
		if k == restart {
			continue
		}
		t.Run(k.String(), func(t *testing.T) {
			inWorld(t, policy, func(t *testing.T, w *world) {
				w.start(6)
				w.crash(6)
				w.start(7)
				before := w.is(Up)
				w.forget()
				for _, life := range []Life{0, 1, 6} {
					if k == checkedIn {
						if err := w.dog.CheckedIn(life); !errors.Is(err, ErrStranger) {
							t.Errorf("check-in of life %d: %v, want ErrStranger", life, err)
						}
						continue
					}
					w.dog.send(note{kind: k, life: life, turn: w.dog.turn, at: time.Now(), text: "old"})
				}
				if after := w.status(); after != before {
					t.Errorf("status %+v, want %+v", after, before)
				}
				w.did()
			})
		})
	}
}

// Rule: a timer belongs to one stay in a state. The first loss's timer must not
// cut the second loss of the same life short.
func TestTimerOfAnEarlierStayIsAStranger(t *testing.T) {
	inWorld(t, policy, func(t *testing.T, w *world) {
		w.start(1)
		w.dog.Lost(1)
		synctest.Wait()
		stale := note{kind: due, life: 1, turn: w.dog.turn, at: time.Now()}
		w.checkIn(1)
		w.dog.Lost(1)
		w.dog.send(stale)
		w.is(Lost)
		later(policy.LostWithin - time.Millisecond)
		w.is(Lost)
		later(time.Millisecond)
		w.is(Dying)
		w.did("kill 1")
	})
}
