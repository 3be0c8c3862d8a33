//go:build !darwin

package jobs

import (
	"context"
	"time"
)

// awaitEnd waits for the end of a process, another's too, or for ctx's. It is for
// tests where there is no launchd.
func awaitEnd(ctx context.Context, pid int) {
	for alive(pid) && sleep(ctx, 20*time.Millisecond) {
	}
}
