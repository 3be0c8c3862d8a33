// Package wire knows what the programs say to each other: dictionaries, the
// messages made of them, their limits, their versions, and who may say what in
// which phase. It must never know how a message travels or who is trusted.
package wire
