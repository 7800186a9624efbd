package firmwaresim

import "syscall"

// loopback is where a hub of our own listens. Devices dial from 127.0.0.1: while the hub is down, a dial to its port on
// that same address could be given the very port to dial from, connect to itself, and keep the hub from coming back.
const loopback = "127.0.0.2"

// childAttributes puts a child in a process group of its own, so that Ctrl-C is ours to pass on, and ends it with us even
// if we are killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
