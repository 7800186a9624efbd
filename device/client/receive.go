package client

import (
	"errors"
	"fmt"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// read is the reading goroutine. It settles what the hub acknowledges and passes the rest to the loop; a loop that is busy holds
// it up, and so the hub.
func (s *session) read() {
	defer close(s.ended)
	defer func() {
		// gws panics on a frame whose length has its highest bit set, and does not call OnClose then.
		if p := recover(); p != nil {
			s.client.log.Error("a message of the hub broke the reader", "panic", p)
			s.readErr = fmt.Errorf("broken WebSocket frame: %v", p)
			s.raw.Close()
		}
	}()
	s.conn.ReadLoop()
}

// OnOpen implements gws.Event.
func (s *session) OnOpen(*gws.Conn) {}

// OnPing implements gws.Event.
func (s *session) OnPing(conn *gws.Conn, payload []byte) {
	s.heard.Store(true)
	_ = conn.WritePong(payload) // a failure closes the connection
}

// OnPong implements gws.Event.
func (s *session) OnPong(*gws.Conn, []byte) { s.heard.Store(true) }

// OnClose implements gws.Event.
func (s *session) OnClose(_ *gws.Conn, err error) {
	var closed *gws.CloseError
	switch {
	case s.readErr != nil:
	case errors.As(err, &closed):
		s.readErr = fmt.Errorf("the hub closed the connection: %w", closed)
	default:
		s.readErr = fmt.Errorf("connection lost: %w", err)
	}
}

// OnMessage implements gws.Event.
func (s *session) OnMessage(conn *gws.Conn, message *gws.Message) {
	defer message.Close()
	s.heard.Store(true)
	if err := s.receive(message); err != nil && s.readErr == nil {
		s.readErr = err
		_ = conn.WriteClose(uint16(device.CloseProtocolError), nil) // closed in any case
	}
}

func (s *session) receive(message *gws.Message) error {
	if message.Opcode != gws.OpcodeBinary {
		return errors.New("the hub sent a text message")
	}
	m, err := device.ParseControl(message.Bytes())
	if errors.Is(err, device.ErrUnknownType) {
		return nil // of a later version of the protocol
	}
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *device.Ack:
		s.client.settle(m.Ranges, false)
	case *device.Reject:
		s.client.rejected(m)
	default:
		select {
		case s.inbox <- m:
		case <-s.leaving:
		}
	}
	return nil
}

// settle takes note of what the hub has acknowledged or rejected.
func (c *Client) settle(ranges device.Ranges, rejected bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settleLocked(ranges, rejected)
}

// settleLocked is settle for a caller that holds c.mu.
func (c *Client) settleLocked(ranges device.Ranges, rejected bool) {
	for _, r := range ranges {
		c.buf.settle(r.First, r.Last, rejected)
	}
	c.cfg.Trace.Settled(ranges)
	if c.buf.empty() {
		for _, d := range c.drained {
			close(d)
		}
		c.drained = nil
	}
	if c.starved {
		c.starved = false
		notify(c.wake)
	}
}

func (c *Client) rejected(r *device.Reject) {
	c.log.Warn("the hub rejected a frame", "seq", r.Seq, "code", r.Code, "reason", r.Text)
	if r.Seq != 0 {
		c.settle(device.Ranges{{First: r.Seq, Last: r.Seq}}, true)
	}
}
