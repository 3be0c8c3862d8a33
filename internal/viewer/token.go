package viewer

import "path/filepath"

// TokenPath is where LoadOrCreateIdentity(dir) keeps the token: one line.
func TokenPath(dir string) string { return filepath.Join(dir, tokenFile) }
