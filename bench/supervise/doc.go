// Package supervise knows how supervisors are held against each other: the same small
// child under each of them, killed, hung, asked for and left alone. It must never know
// how Portward's supervisor works inside, nor measure anything but processes and time.
//
// Every supervisor keeps floor/child.c. Its messages carry the time at which it was
// ready, and the kernel's word for its pid, so a sample is the time from kill(2) to the
// child's own stamp; no log is read and nothing is polled. All supervisors of a group
// run at once, and take turns.
package supervise
