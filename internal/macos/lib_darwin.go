package macos

// file is where a library is: the linker's own name for it.
func file(path string) string { return path }
