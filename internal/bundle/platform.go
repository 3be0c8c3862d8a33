package bundle

// Universal is the platform of every Mac, whichever processor it has: releases for
// macOS hold programs for both, so that there is one signature and one seal.
const Universal = "darwin-universal"

// HostPlatform names the platform whose releases run here: "linux-amd64", and on
// macOS Universal.
func HostPlatform() string { return hostPlatform() }
