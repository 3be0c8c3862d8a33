//go:build !darwin

package bundle

import "runtime"

func hostPlatform() string { return runtime.GOOS + "-" + runtime.GOARCH }
