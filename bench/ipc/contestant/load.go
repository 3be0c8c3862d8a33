//go:build linux

package main

import (
	"github.com/klauspost/compress/s2"

	"portward/bench/talk"
)

// keepBusy encodes pixels on n goroutines, for ever: what a hub without a limit
// does when many watch.
func keepBusy(n int) {
	for range n {
		go func() {
			picture := make([]byte, 320*320*4)
			for i := range picture {
				picture[i] = byte(i * i >> 7)
			}
			block := make([]byte, s2.MaxEncodedLen(len(picture)))
			for {
				s2.EncodeSnappy(block, picture)
			}
		}()
	}
}

// cost answers one sample: what each of n frames took of the processors' time, in
// this process and in the other half.
func (d drill) cost(peer, n int) ([]float64, error) {
	many := d.many
	if many == nil {
		many = talk.Each(d.one)
	}
	if _, err := many(n / 10); err != nil {
		return nil, err
	}
	before, err := talk.CPUTime(0, peer)
	if err != nil {
		return nil, err
	}
	if _, err := many(n); err != nil {
		return nil, err
	}
	after, err := talk.CPUTime(0, peer)
	return []float64{(after - before).Seconds() / float64(n+n/10)}, err
}
