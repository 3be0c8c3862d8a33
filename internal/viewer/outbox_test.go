package viewer

import (
	"slices"
	"testing"

	"portward/internal/hub"
)

func up(session string, seq uint32) hub.Update { return hub.Update{Session: session, Seq: seq} }

// Rule: two updates of a session wait, the third is refused, and the end of the
// lane is told once.
func TestOutboxRefuses(t *testing.T) {
	b := newOutbox()
	if !b.Offer(up("1", 1)) || !b.Offer(up("1", 2)) || b.Offer(up("1", 3)) {
		t.Fatal("a lane has room for two")
	}
	if !b.Offer(up("2", 1)) {
		t.Error("a full lane closes another")
	}
	var drained []bool
	for range 3 {
		_, u, ok := b.take()
		if !ok {
			t.Fatal("empty too early")
		}
		drained = append(drained, b.sent(u.Session))
	}
	if !slices.Equal(drained, []bool{false, false, true}) || b.sent("1") {
		t.Errorf("drained %v", drained)
	}
}

// Rule: a whole picture takes the place of what waits of its session, keeps its
// turn, and always finds room.
func TestOutboxWhole(t *testing.T) {
	b := newOutbox()
	b.Offer(up("1", 1))
	b.Offer(up("2", 1))
	b.Offer(up("1", 2))
	b.Offer(up("1", 3)) // refused
	for seq := uint32(4); seq < 10; seq++ {
		if !b.Offer(hub.Update{Session: "1", Seq: seq, Whole: true, Message: hub.Message{make([]byte, 2*laneBytes)}}) {
			t.Errorf("whole picture %d was refused", seq)
		}
	}
	_, first, _ := b.take()
	if first.Session != "1" || first.Seq != 9 || b.sent("1") {
		t.Errorf("took %s, %d", first.Session, first.Seq)
	}
	if _, next, _ := b.take(); next.Session != "2" {
		t.Errorf("then %s", next.Session)
	}
	if _, u, ok := b.take(); ok {
		t.Errorf("and %s, %d", u.Session, u.Seq)
	}
}

// Rule: what waits of a session is bounded in bytes too; only a single update
// may be larger.
func TestOutboxBytes(t *testing.T) {
	b := newOutbox()
	large := func(seq uint32) hub.Update {
		return hub.Update{Session: "1", Seq: seq, Message: hub.Message{make([]byte, laneBytes/2), {0}}}
	}
	if !b.Offer(large(1)) || b.Offer(large(2)) {
		t.Error("two large updates wait, or none")
	}
	if !b.Offer(up("2", 1)) {
		t.Error("bytes of one session close another's lane")
	}
	b.take()
	if !b.sent("1") || !b.Offer(large(3)) {
		t.Error("no room after it was sent")
	}
}

// Rule: sessions take turns, and what is told about them goes first.
func TestOutboxTurns(t *testing.T) {
	b := newOutbox()
	b.Offer(up("1", 1))
	b.Offer(up("1", 2))
	b.Offer(up("2", 1))
	b.Sessions([]hub.SessionState{{ID: "2"}, {ID: "1"}, {ID: "3"}})
	b.Sessions([]hub.SessionState{{ID: "1"}, {ID: "2"}})
	if states, _, ok := b.take(); !ok || len(states) != 2 {
		t.Errorf("states %v", states)
	}
	var order []string
	for {
		_, u, ok := b.take()
		if !ok {
			break
		}
		order = append(order, u.Session)
	}
	if !slices.Equal(order, []string{"1", "2", "1"}) {
		t.Errorf("order %v", order)
	}
}

// Rule: what waits for a session that has gone is not sent.
func TestOutboxForgets(t *testing.T) {
	b := newOutbox()
	b.Offer(up("1", 1))
	b.Offer(up("2", 1))
	b.Sessions([]hub.SessionState{{ID: "2"}})
	b.take()
	if _, u, ok := b.take(); !ok || u.Session != "2" {
		t.Errorf("took %+v", u)
	}
	if _, u, ok := b.take(); ok {
		t.Errorf("took %+v", u)
	}
	if b.sent("1") {
		t.Error("a lane that is gone drained")
	}
}
