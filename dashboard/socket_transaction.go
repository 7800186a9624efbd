package dashboard

import "github.com/telemetry-hub/telemetry-hub/dashboard/stomp"

// What the transactions of one connection may hold.
const (
	maxTransactions = 16
	maxHeldFrames   = 100       // of one transaction
	maxHeldBytes    = 256 << 10 // of all
)

// transaction is what is to be done at its COMMIT.
type transaction struct {
	frames []*stomp.Frame
	bytes  int
}

// transaction takes BEGIN, COMMIT and ABORT.
func (c *liveConn) transaction(f *stomp.Frame) error {
	name, ok := f.Headers.Get("transaction")
	if !ok {
		return wrong("%s needs a transaction", f.Command)
	}
	t := c.transactions[name]
	if f.Command == stomp.Begin {
		switch {
		case t != nil:
			return wrong("this transaction has begun already")
		case len(c.transactions) >= maxTransactions:
			return wrong("a connection may have at most %d transactions", maxTransactions)
		}
		if c.transactions == nil {
			c.transactions = map[string]*transaction{}
		}
		c.transactions[name] = &transaction{}
		return nil
	}
	if t == nil {
		return wrong("there is no such transaction")
	}
	delete(c.transactions, name)
	c.held -= t.bytes
	if f.Command == stomp.Abort {
		return nil
	}
	for _, frame := range t.frames {
		if err := c.act(frame); err != nil {
			return err
		}
	}
	return nil
}

// postpone keeps a frame until its transaction's COMMIT.
func (c *liveConn) postpone(name string, f *stomp.Frame) error {
	t := c.transactions[name]
	size := f.Size()
	switch {
	case t == nil:
		return wrong("there is no such transaction")
	case len(t.frames) >= maxHeldFrames:
		return wrong("a transaction may have at most %d frames", maxHeldFrames)
	case c.held+size > maxHeldBytes:
		return wrong("transactions may hold at most %d bytes", maxHeldBytes)
	}
	t.frames = append(t.frames, f)
	t.bytes += size
	c.held += size
	return nil
}
