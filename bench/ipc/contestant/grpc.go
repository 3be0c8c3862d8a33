//go:build linux

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	"portward/bench/talk"
)

// A plain codec sends bytes as they are: protobuf's own work is spared.
type plain struct{}

func (plain) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

// Unmarshal makes one slice of what came, as a field of bytes is.
func (plain) Unmarshal(d mem.BufferSlice, v any) error {
	*v.(*[]byte) = d.Materialize()
	return nil
}

func (plain) Name() string { return "plain" }

var _ encoding.CodecV2 = plain{}

// grpcStream carries frames one way and a word for each the other.
func grpcStream(handle grpc.StreamHandler) grpc.StreamDesc {
	return grpc.StreamDesc{StreamName: "Frames", Handler: handle, ServerStreams: true, ClientStreams: true}
}

const grpcMethod = "/portward.Bench/Frames"

// startGRPC sends the pixels of each frame in a message of one long stream, over a
// Unix socket and without TLS.
func startGRPC(o options) (drill, *exec.Cmd, error) {
	l, err := net.Listen("unix", filepath.Join(o.dir, "grpc"))
	if err != nil {
		return drill{}, nil, err
	}
	defer l.Close()
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		return drill{}, nil, err
	}
	defer f.Close()
	peer, err := talk.Other(f)
	if err != nil {
		return drill{}, nil, err
	}
	most := o.geometry().Size() + 1<<10
	c, err := grpc.NewClient("unix:"+filepath.Join(o.dir, "grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(plain{}), grpc.MaxCallSendMsgSize(most)))
	if err != nil {
		return drill{}, nil, err
	}
	desc := grpcStream(nil)
	s, err := c.NewStream(context.Background(), &desc, grpcMethod, grpc.WaitForReady(true))
	if err != nil {
		return drill{}, nil, err
	}
	pix := touched(o.geometry().Size())
	return drill{one: func() (time.Duration, error) {
		began := time.Now()
		if err := s.SendMsg(&pix); err != nil {
			return 0, err
		}
		var ack []byte
		err := s.RecvMsg(&ack)
		return time.Since(began), err
	}}, peer, nil
}

func serveGRPC(o options) error {
	l, err := net.FileListener(os.NewFile(3, "grpc"))
	if err != nil {
		return err
	}
	desc := grpcStream(func(_ any, s grpc.ServerStream) error {
		for {
			var pix []byte
			if err := s.RecvMsg(&pix); err != nil {
				return err
			}
			ack := []byte("ok")
			if err := s.SendMsg(&ack); err != nil {
				return err
			}
		}
	})
	srv := grpc.NewServer(grpc.ForceServerCodecV2(plain{}), grpc.MaxRecvMsgSize(o.geometry().Size()+1<<10))
	srv.RegisterService(&grpc.ServiceDesc{ServiceName: "portward.Bench", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{desc}}, nil)
	return srv.Serve(l)
}
