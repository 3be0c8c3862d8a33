//go:build !linux

package xpcpeer

import (
	"context"
	"errors"
	"os"

	"portward/internal/wire"
)

func unixTransport(UnixOptions) Transport { return noTransport{} }

func adopt(f *os.File) (Transport, link, error) {
	f.Close()
	return nil, nil, errors.ErrUnsupported
}

func bindUnix(string, string, os.FileMode) (*os.File, error) { return nil, errors.ErrUnsupported }

type noTransport struct{}

func (noTransport) listen(string, string) (acceptor, error)     { return nil, errors.ErrUnsupported }
func (noTransport) anonymous(string) (acceptor, error)          { return nil, errors.ErrUnsupported }
func (noTransport) pack(packet) (parcel, error)                 { return nil, errors.ErrUnsupported }
func (noTransport) retain(wire.Handle) (h wire.Handle, _ error) { return h, errors.ErrUnsupported }
func (noTransport) dial(context.Context, string, string) (link, error) {
	return nil, errors.ErrUnsupported
}
func (noTransport) connect(context.Context, wire.Handle, string) (link, error) {
	return nil, errors.ErrUnsupported
}
