// Command powercut tries to find an instant at which an update can be interrupted and
// leaves something else than one whole bundle. See ../README.md. It must never
// touch a mount, a loop device or a file that is not its own.
package main
