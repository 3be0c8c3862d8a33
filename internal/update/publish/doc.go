// Package publish knows how a bundle becomes a release in a repository of
// static files, and which changes would hurt the people who run the release
// before it. It must never know how a machine takes a release, where a key's
// passphrase comes from, or any network.
//
// A repository that a web server hands out while a release is published is
// whole at every instant, because nothing is pointed at before it is there:
//
//	b/SHA256                                  packed contents and patches
//	targets/CHANNEL/PLATFORM/SHA256.….json    the seal, and how it is delivered
//	metadata/N.targets.json, N.snapshot.json
//	metadata/timestamp.json                   the only file that is ever replaced
//
// What a killed publisher leaves are files that nothing names; the next run
// finds and uses them. A file is used for its bytes, not for its name: what is
// damaged is written again.
//
// One thing lies outside: DIR/published.json beside the targets key, which keeps
// an older copy of the repository from being published.
package publish
