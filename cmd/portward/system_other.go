//go:build !darwin

package main

import "errors"

// openSystem has nothing to answer: there is no launchd here.
func openSystem() (*system, error) {
	return nil, errors.New("install and uninstall are for macOS, where launchd keeps the jobs\nhint: here portward up runs the product, with a job engine of its own")
}
