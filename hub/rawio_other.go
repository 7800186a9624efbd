//go:build !linux

package hub

import "net"

// rawIO is for Linux only.
type rawIO struct{}

func newRawIO(net.Conn) *rawIO { return nil }

func (*rawIO) read([]byte) (int, error)     { panic("unreachable") }
func (*rawIO) writeAll([]byte) (int, error) { panic("unreachable") }
