package hub

import "time"

const (
	rateSlots = 10
	rateSlot  = time.Second / rateSlots
)

// A rate counts events over the last second, in ten slots. The zero rate has
// seen nothing.
type rate struct {
	counts [rateSlots]uint32
	last   int64 // number of the slot that was counted in last
}

func slotOf(t time.Time) int64 { return t.UnixNano() / int64(rateSlot) }

func (r *rate) add(t time.Time) {
	r.turn(slotOf(t))
	r.counts[r.last%rateSlots]++
}

// perSecond answers the events of the second that ends with t.
func (r *rate) perSecond(t time.Time) float64 {
	r.turn(slotOf(t))
	sum := uint32(0)
	for _, n := range r.counts {
		sum += n
	}
	return float64(sum)
}

// turn empties the slots that lie between the last event and now. A clock that
// was set back counts into the slot it had reached.
func (r *rate) turn(now int64) {
	if now-r.last >= rateSlots {
		r.counts, r.last = [rateSlots]uint32{}, now
	}
	for r.last < now {
		r.last++
		r.counts[r.last%rateSlots] = 0
	}
}
