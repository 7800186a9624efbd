package client

import (
	"syscall"
	"testing"
)

// TestLockEndsWithClose closes a buffer while another descriptor of its lock is open, as a child process has one that has
// been forked but does not run its program yet.
func TestLockEndsWithClose(t *testing.T) {
	cfg, _ := diskConfig(t, newFakeHub(t))
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	inherited, err := syscall.Dup(int(c.disk.lock.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(inherited)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
