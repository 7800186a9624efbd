package client

import (
	"context"
	"time"
)

// Run connects to the hub and stays connected, with ever longer pauses between failed attempts, until ctx ends; then it
// closes the connection and returns nil once everything it has started has ended. A token that the hub refuses is tried again
// too, at the slowest rate: it may be mended meanwhile, and Stats tells. The only error is ErrRunning or ErrClosed.
func (c *Client) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer c.running.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	defer c.tasks.Wait()
	defer cancel()

	c.mu.Lock()
	closed := c.closed
	c.startCommands(ctx) // what a former Run has left
	c.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if c.disk != nil {
		c.tasks.Go(func() { c.writeDisk(ctx) })
	}

	var b backoff
	oldestFirst := false // the hub found the received frames too sparse
	for ctx.Err() == nil {
		s := newSession(c, oldestFirst)
		err := s.run(ctx)
		if ctx.Err() != nil {
			break
		}
		c.noteError("not connected", err)
		oldestFirst = tooSparse(err)
		pause(ctx, between(b.after(err, s.stood())))
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
