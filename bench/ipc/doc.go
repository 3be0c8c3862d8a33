// Package ipc knows the benchmark of what goes between two processes: a control
// message, and the hand-over of a frame. It must never know how a contestant does
// it: each is a program of its own.
package ipc
