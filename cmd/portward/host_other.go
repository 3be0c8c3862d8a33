//go:build !darwin

package main

func newHost(w *world) host { return embeddedHost{w} }
