//go:build standin && !darwin

package macos

import "os"

// StandinEnv names the library that stands in for all of Apple's in tests.
const StandinEnv = "PORTWARD_STANDIN"

// file is the stand-in, whatever is asked for.
func file(string) string { return os.Getenv(StandinEnv) }
