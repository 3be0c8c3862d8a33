package deadman

import (
	"errors"
	"runtime"
	"testing"
	"time"
)

func TestArmRefuses(t *testing.T) {
	for _, c := range [][2]time.Duration{{0, 1}, {1, 0}, {-1, 1}, {1, -1}} {
		timer, err := Arm(c[0], c[1], nil)
		var e *Error
		if timer != nil || !errors.As(err, &e) || e.Op != "arm" {
			t.Errorf("Arm(%v): %v, %v", c, timer, err)
		}
	}
}

// Rule: where there are no such timers the answer is errors.ErrUnsupported, and
// Supported has said so.
func TestArmSupport(t *testing.T) {
	timer, err := Arm(time.Hour, time.Hour, nil)
	if Supported() != (runtime.GOOS == "linux") {
		t.Errorf("supported: %v", Supported())
	}
	if !Supported() {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Arm: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	timer.Beat()
	timer.Disarm()
	timer.Disarm()
	timer.Beat()
}
