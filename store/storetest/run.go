// Package storetest is what the tests of several packages do with a store: run it, and send it frames as a device's session would.
package storetest

import (
	"context"
	"sync"
	"testing"
)

// Run runs a store until the returned function, which may be called more than once, stops and closes it.
func Run(t testing.TB, s interface {
	Run(context.Context) error
	Close() error
}) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
