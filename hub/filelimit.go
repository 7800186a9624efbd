package hub

import "syscall"

// maxWaiting is how many accepted connections may wait to be served: they must leave file descriptors to everything else.
func maxWaiting() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostWaiting
	}
	return int(min(uint64(limit.Cur)/4, mostWaiting))
}
