// Package linux knows the few Linux facts that neither the standard library
// nor x/sys offers: per-process timers, words over a mapping, sleeping on them
// (futex), and a process that has no children. It must never know what they are
// for.
//
// It is the Linux twin of internal/macos: the only room here with unsafe code,
// one thin function per kernel fact, named as the kernel names it. Values are
// copied to Go at the door; no pointer leaves, except the words of a mapping
// the caller made.
package linux
