package capture

import (
	"context"
	"errors"
	"testing"
)

// Rule: what was given is answered, however late somebody asks; who is told why
// he did not get it is given nothing any more, and the giver learns that.
func TestAnswer(t *testing.T) {
	came, tired := errors.New("came"), errors.New("tired")
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(tired)
	early, late := newAnswer(), newAnswer()
	if !early.give(came) {
		t.Error("refused before anybody was tired")
	}
	if err := early.await(ended); err != came {
		t.Errorf("early: %v", err)
	}
	if err := late.await(ended); err != tired {
		t.Errorf("late: %v", err)
	}
	if late.give(came) {
		t.Error("given to nobody")
	}
}

// Rule: when both are there in one moment, giver and waiter say the same of it.
func TestAnswerInTheLastMoment(t *testing.T) {
	came, tired := errors.New("came"), errors.New("tired")
	for range 1000 {
		ctx, cancel := context.WithCancelCause(context.Background())
		a, given := newAnswer(), make(chan bool)
		go cancel(tired)
		go func() { given <- a.give(came) }()
		switch err, taken := a.await(ctx), <-given; {
		case err == came && taken, err == tired && !taken:
		default:
			t.Fatalf("answered %v, taken: %t", err, taken)
		}
	}
}
