package jobs

import "time"

// NewPacedLaunchd is NewLaunchd over a launchd that is as quick as a test.
func NewPacedLaunchd(o LaunchdOptions, settle, pause time.Duration) (*Launchd, error) {
	l, err := NewLaunchd(o)
	if err != nil {
		return nil, err
	}
	l.Close()
	return newLaunchd(l.o, l.run, l.proc, launchdTimes{settle: settle, pause: pause, watch: pause}), nil
}
