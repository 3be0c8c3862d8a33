package macos

import "fmt"

// Flags of XPCConnectionCreateMachService, xpc/connection.h.
const (
	XPCListener   uint64 = 1 << 0 // XPC_CONNECTION_MACH_SERVICE_LISTENER
	XPCPrivileged uint64 = 1 << 1 // XPC_CONNECTION_MACH_SERVICE_PRIVILEGED
)

// An XPCType is what an object is, xpc_get_type.
type XPCType uint8

const (
	XPCTypeOther XPCType = iota // newer or private ones
	XPCTypeConnection
	XPCTypeEndpoint
	XPCTypeNull
	XPCTypeBool
	XPCTypeInt64
	XPCTypeUint64
	XPCTypeDouble
	XPCTypeDate
	XPCTypeData
	XPCTypeString
	XPCTypeUUID
	XPCTypeFD
	XPCTypeShmem
	XPCTypeArray
	XPCTypeDictionary
	XPCTypeError
)

func (t XPCType) String() string {
	names := [...]string{"other", "connection", "endpoint", "null", "bool", "int64", "uint64", "double", "date",
		"data", "string", "uuid", "fd", "shmem", "array", "dictionary", "error"}
	if int(t) < len(names) {
		return names[t]
	}
	return fmt.Sprintf("XPCType(%d)", uint8(t))
}

// An XPCError is which of libxpc's error objects an object is.
type XPCError uint8

const (
	XPCNotError            XPCError = iota
	XPCInterrupted                  // the other side is gone; the connection can be used again
	XPCInvalid                      // the connection is dead: no event comes after this one
	XPCTerminationImminent          // the system would like this process to leave
	XPCPeerRequirement              // the peer does not satisfy the requirement
	XPCOtherError
)
