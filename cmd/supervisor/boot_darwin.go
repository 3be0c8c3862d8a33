package main

import "os"

// bootDir is where launchd finds the jobs of the whole Mac when it starts. A login's
// supervisor, of portward up, is started by no start of the machine.
func bootDir() string {
	if os.Geteuid() == 0 {
		return "/Library/LaunchDaemons"
	}
	return ""
}
