package xpcpeer

import (
	"errors"
	"os"
)

// UnixOptions say where the Unix transport finds and makes its sockets.
type UnixOptions struct {
	Dir       string              // service NAME is the socket Dir/NAME
	Private   string              // a directory this process can write in, where anonymous listeners are born (Dir)
	Inherited map[string]*os.File // listening sockets held by somebody above us, by service name; they stay the caller's
}

// Unix answers the transport of SOCK_SEQPACKET sockets in the file system, in
// which dir holds the named services. Listen serves an inherited socket of that
// name if there is one. It needs /proc. Linux only.
func Unix(dir string, inherited map[string]*os.File) Transport {
	return UnixWith(UnixOptions{Dir: dir, Inherited: inherited})
}

// UnixWith is Unix for a process that cannot write in the services' directory
// and still makes anonymous listeners. Their sockets have a random name in
// Private for as long as bind(2) needs one, and none when they are listened on.
func UnixWith(o UnixOptions) Transport {
	if o.Private == "" {
		o.Private = o.Dir
	}
	return unixTransport(o)
}

// BindUnix answers a listening, non-blocking SOCK_SEQPACKET socket dir/name of
// the given mode. It is bound through a descriptor of dir, so dir may be longer
// than a socket address; the name may have 64 bytes. A socket of that name that
// nobody listens on is replaced; one that is served is EADDRINUSE. The name is
// the caller's to remove.
func BindUnix(dir, name string, mode os.FileMode) (*os.File, error) {
	f, err := bindUnix(dir, name, mode)
	if err != nil {
		return nil, &Error{"bind", name, err}
	}
	return f, nil
}

var errNamed = errors.New("only anonymous listeners have one")
