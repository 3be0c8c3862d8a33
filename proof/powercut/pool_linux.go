package main

import (
	"fmt"
	"sync"
	"time"
)

// pool does jobs, one at a time on each worker, in their order until the
// deadline, and tallies what they find.
func pool[W any, J fmt.Stringer](workers []W, jobs []J, deadline time.Time, do func(W, J) (string, error)) tally {
	t := tally{found: map[string]int{}}
	next := make(chan J)
	var mu sync.Mutex
	var running sync.WaitGroup
	for _, w := range workers {
		running.Go(func() {
			for j := range next {
				which, err := do(w, j)
				mu.Lock()
				t.add(j, which, err)
				mu.Unlock()
			}
		})
	}
	for _, j := range jobs {
		if time.Now().After(deadline) {
			break
		}
		next <- j
	}
	close(next)
	running.Wait()
	return t
}

// A turn is the number of the request or call at which something happens.
type turn int

func (n turn) String() string { return fmt.Sprintf("at number %d", int(n)) }

func turns(order []int) []turn {
	list := make([]turn, len(order))
	for i, n := range order {
		list[i] = turn(n)
	}
	return list
}
