// Package durable knows how to change a directory tree so that a power cut
// leaves either the old state or the new one. It must never know what the
// bytes mean, and nobody else calls fsync.
//
// The order of system calls is the whole argument. Write, for
// "/d/status.json":
//
//	openat  "/d/.tmp-1f0c…"  O_CREAT|O_EXCL|O_WRONLY 0600   a new inode, ours alone
//	write                                                   every byte
//	fchmod  mode                                            umask has no say
//	fsync   the file                                        bytes and mode are on the disk …
//	close
//	renameat "/d/.tmp-1f0c…" "/d/status.json"               … before the name points at them
//	openat "/d" O_RDONLY|O_DIRECTORY, fsync, close          and now the name is on the disk too
//
// Readers see the whole old file or the whole new one, never a mixture and
// never nothing. Without the first fsync the new name may point at an empty
// file after a power cut (ext4(5), "auto_da_alloc"); without the second the old
// name may come back (fsync(2), NOTES). A new inode each time is also what the
// macOS kernel wants, which caches code signatures per vnode.
//
// Remove and Rename are the one system call and an fsync of each directory
// whose entries it changed. Exchange is renameat2(2) RENAME_EXCHANGE, on macOS
// renamex_np(2) RENAME_SWAP: both names exist at every instant. What is
// exchanged must be on the disk before, which SyncTree does:
//
//	fsync every file, fsync every directory, children first   the tree is on the disk …
//	fsync the directory that names it                         … under this name
//	renameat2 "/d/staged" "/d/live" RENAME_EXCHANGE           both or neither
//	fsync the directory of live, then that of staged
//
// Link is link(2), on macOS clonefile(2), an fsync of the file and one of the
// directory that names it now.
//
// On macOS, File.Sync is fcntl F_FULLFSYNC, which fsync(2) there is not.
//
// FileLock is flock(2). It is here because it says who may change a tree, and
// it is the one thing of this package that a power cut takes away.
//
// A process killed between openat and renameat leaves its temporary file
// behind, and nothing else; Sweep removes such files.
package durable
