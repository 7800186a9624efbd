package hub

import (
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

const (
	maxResults    = 64          // RESULTs that wait to be recorded; the device is asked again about more
	maxReports    = 1024        // reported values that wait, twice as many as the channels of two schemas
	commandBytes  = 4 << 10     // of COMMANDs in a row; then ACKs get their turn
	deliveryRetry = time.Second // after hub.db could not be written
)

// delivery brings commands to the device of a session, and results back to the store. What it has to do may wait for the disk, so
// it is done neither by the read loop nor by the writer, but in a goroutine that lives while there is something to do.
type delivery struct {
	queue     *commands.Delivery // owned by that goroutine; set by HELLO
	solicited atomic.Int64       // COMMANDs written and not answered
	due       atomic.Int64       // elapsed ns when there is something to do again; 0: never

	mu      sync.Mutex
	ready   bool // HELLO has come
	running bool
	again   bool // there is something to do
	ended   bool // the goroutine is not to be started any more
	results []*device.Result
	reports []settings.Reported // bounded by report
}

// watchCommands has commands and desired values brought to devices that are connected, until stop is called.
func (h *Hub) watchCommands() (stop func()) {
	deliver := func(id string) {
		if s := h.sessions.find(id); s != nil {
			s.deliver()
		}
	}
	stopCommands := h.store.Commands.Watch(func(c commands.Command) {
		if c.State == commands.Queued || c.State == commands.Unknown { // new, or out of the way of another
			deliver(c.Device)
		}
	})
	stopSettings := h.store.Settings.Watch(func(set settings.Setting) { deliver(set.Device) })
	return func() { stopCommands(); stopSettings() }
}

// startDelivery begins to deliver, behind WELCOME.
func (s *session) startDelivery(stream uint64) {
	s.delivery.queue = s.hub.store.Commands.Delivery(s.device, stream)
	s.delivery.mu.Lock()
	s.delivery.ready = true
	s.delivery.mu.Unlock()
	s.deliver()
}

// deliver has the delivery look what there is to do. It never blocks.
func (s *session) deliver() { s.delivery.post(s, func() {}) }

// answered hands a RESULT to the delivery.
func (s *session) answered(r *device.Result) {
	c := &s.delivery
	c.post(s, func() {
		if len(c.results) < maxResults {
			c.results = append(c.results, r)
		}
	})
}

// solicited says whether a RESULT answers a COMMAND, and counts it.
func (s *session) solicited() bool {
	if s.delivery.solicited.Add(-1) >= 0 {
		return true
	}
	s.delivery.solicited.Add(1)
	return false
}

// report adds what the device reports of its writable channels. While hub.db can't be written, only the newest of each channel is
// kept. mu is held.
func (c *delivery) report(news []settings.Reported) {
	c.reports = append(c.reports, news...)
	if len(c.reports) <= maxReports {
		return
	}
	kept := c.reports[:0]
	for i, r := range c.reports {
		if !slices.ContainsFunc(c.reports[i+1:], func(newer settings.Reported) bool { return newer.Channel == r.Channel }) {
			kept = append(kept, r)
		}
	}
	c.reports = kept[max(0, len(kept)-maxReports/2):] // schemas that come and go may name more
}

// post gives the delivery something to do and starts it.
func (c *delivery) post(s *session, put func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || !c.ready {
		return
	}
	put()
	c.again = true
	if !c.running {
		c.running = true
		s.wg.Go(s.runDelivery)
	}
}

// end lets the delivery finish what it has, and do nothing more.
func (c *delivery) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
}

// runDelivery works until there is nothing to do.
func (s *session) runDelivery() {
	defer func() {
		if reason := recover(); reason != nil {
			s.hub.log.Error("panic in a device session", "device", s.device, "panic", reason, "stack", string(debug.Stack()))
			s.conn.Cut()
		}
	}()
	c := &s.delivery
	for {
		c.mu.Lock()
		if !c.again {
			c.running = false
			c.mu.Unlock()
			return
		}
		results, reports := c.results, c.reports
		c.again, c.results, c.reports = false, nil, nil
		c.mu.Unlock()
		if err := s.deliverOnce(results, reports); err != nil {
			// When hub.db can't be written, each device comes here once a second.
			s.hub.limited.Error("commands cannot be delivered", "device", s.device, "address", s.address, "error", err)
			c.mu.Lock()
			newer := c.reports
			c.results, c.reports = append(results, c.results...), reports
			c.report(newer)
			c.mu.Unlock()
			c.due.Store(int64(s.hub.elapsed() + deliveryRetry))
		}
	}
}

// deliverOnce records what has come and takes what is to be sent. From a session that ends nothing is sent any more.
func (s *session) deliverOnce(results []*device.Result, reports []settings.Reported) error {
	if len(reports) > 0 {
		if _, err := s.hub.store.Settings.Report(s.device, reports); err != nil {
			return err
		}
	}
	if s.ctx.Err() != nil {
		return s.delivery.queue.Record(results)
	}
	send, again, err := s.delivery.queue.Exchange(results)
	if err != nil {
		return err
	}
	due := int64(0)
	if !again.IsZero() {
		due = max(1, int64(s.hub.elapsed()+again.Sub(s.hub.now())))
	}
	s.delivery.due.Store(due)
	if len(send) > 0 {
		s.out.mu.Lock()
		s.out.commands = append(s.out.commands, send...)
		s.out.mu.Unlock()
		s.wake()
	}
	return nil
}

// deliverDue is deliver when its time has come.
func (s *session) deliverDue(now time.Duration) {
	if due := s.delivery.due.Load(); due != 0 && int64(now) >= due {
		s.deliver()
	}
}

// writeCommands writes the COMMANDs that wait, a few at a time.
func (s *session) writeCommands(out *output) {
	for written := 0; written < commandBytes; written += len(out.message) {
		o := &s.out
		o.mu.Lock()
		if len(o.commands) == 0 {
			o.commands = nil
			o.mu.Unlock()
			return
		}
		c := o.commands[0]
		o.commands = o.commands[1:]
		o.mu.Unlock()
		s.delivery.solicited.Add(1)
		s.sendControl(out, s.hub.store.Commands.Message(&c, s.measured.Load().base))
	}
	s.wake()
}
