package bundle

func hostPlatform() string { return Universal }
