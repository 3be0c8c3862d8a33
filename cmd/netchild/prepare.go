package main

import (
	"crypto/tls"
	"os"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/viewer"
)

// A preparation is what netchild reads while its supervisor is being reached: a
// crash is felt until both are done. Who is judged before waits.
type preparation struct {
	done  chan struct{} // closed when what follows is there
	known *bundle.Known
	cert  tls.Certificate
	token string
	err   error
}

// prepare begins, and calls stop if there is no end to come to.
func prepare(root string, stop func()) *preparation {
	p := &preparation{done: make(chan struct{})}
	go func() {
		p.err = p.read(root)
		close(p.done)
		if p.err != nil {
			stop()
		}
	}()
	return p
}

func (p *preparation) read(root string) (err error) {
	if p.known, err = bundle.OpenKnown(program.BundleDir(root), program.RetainedSeal(root)); err != nil {
		return err
	}
	p.cert, p.token, err = viewer.LoadOrCreateIdentity(program.StateDir(root))
	return err
}

// failed says why it failed, if it has by now.
func (p *preparation) failed() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Identify is bundle.Known's.
func (p *preparation) Identify(f *os.File) (string, error) {
	<-p.done
	if p.err != nil {
		return "", p.err
	}
	return p.known.Identify(f)
}
