//go:build !linux

package firmwaresim

import "syscall"

// loopback is where a hub of our own listens.
const loopback = "127.0.0.1"

// childAttributes: only Linux ends a child with its parent.
func childAttributes() *syscall.SysProcAttr { return nil }
