// Package frames knows the benchmark of a picture's way: from a screen to
// netchild, from there to a browser, and across the death of netchild. It must
// never know how a contestant does it: each is a program of its own.
package frames
