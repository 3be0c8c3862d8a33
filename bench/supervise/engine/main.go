// Command engine knows one job: it keeps it with Portward's embedded engine alone,
// until SIGTERM. It must never do more: it is what is measured.
//
//	engine PLIST RUNDIR
//
// A name of the job's MachServices is a SOCK_SEQPACKET socket of that name in RUNDIR.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"portward/internal/jobs"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: engine PLIST RUNDIR")
		os.Exit(64)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(70)
	}
}

func run(plist, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	engine, err := jobs.NewEmbedded(jobs.Options{
		RunDir: dir, Environ: os.Environ(),
		BindService: func(name string) (*os.File, error) { return bind(filepath.Join(dir, name)) },
	})
	if err != nil {
		return err
	}
	if err := engine.Bootstrap(ctx, jobs.System, plist); err != nil {
		return err
	}
	<-ctx.Done()
	return engine.Close(context.Background())
}

func bind(path string) (*os.File, error) {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	return l.File()
}
