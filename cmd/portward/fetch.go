package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"portward/internal/config"
	"portward/internal/durable"
	"portward/internal/program"
	"portward/internal/update/fetch"
)

// fetchVerb is for the supervisor alone, and not in the usage: it speaks HTTP
// for it, without any right but to its own cache.
const fetchVerb = "fetch"

func fetchFor(args []string) (int, error) {
	fs := newFlags(fetchVerb, "")
	if err := parse(fs, args, "usage: portward fetch --root DIR\n\nFor the supervisor: speaks to the repository, and to whoever started it, over\nstdin and stdout.\n"); err != nil {
		return program.ExitUsage, err
	}
	root, err := resolveRoot(fs.Lookup("root").Value.String())
	if err != nil {
		return program.ExitUsage, err
	}
	cfg, err := config.Load(root)
	if err != nil {
		return program.ExitConfig, err
	}
	u := cfg.Update
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err = fetch.Main(ctx, fetch.Config{
		Repo: u.Repo, CA: u.CA, Proxy: u.Proxy, Rate: u.Rate, Cache: program.FetchDir(root), Live: program.BundleDir(root), Version: program.Build(), Free: durable.Free,
		Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, "fetch: "+format+"\n", args...) },
	}, os.Stdin, os.Stdout)
	return program.ExitOK, err
}
