package live

import (
	"fmt"
	"net"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// What the hub reports to the feed. A nil feed ignores it, so that a hub works without one. Connections are numbered by the hub
// from 1 in the order in which they took over: what is reported of an older one does not touch what is known of the newer.

// Connected says that a connection of a device has begun.
func (f *Feed) Connected(deviceID string, connection uint64, address string) {
	f.update(deviceID, func(e *entry, now int64) {
		if connection <= e.connection {
			return
		}
		kind := kindConnected
		if e.connected {
			kind = kindReplaced
		}
		e.connection, e.connected, e.address = connection, true, address
		e.opened, e.closed, e.arrived, e.greeted, e.skew, e.since.clock = now, 0, 0, false, 0, 0
		f.note(Event{Device: deviceID, Kind: kind, Address: address}, now)
	})
}

// Greeted says what HELLO told of the device's clock: how far it is ahead of the hub's.
func (f *Feed) Greeted(deviceID string, connection uint64, skew time.Duration) {
	f.update(deviceID, func(e *entry, now int64) {
		if connection != e.connection {
			return
		}
		e.greeted, e.skew = true, (skew + f.view.Behind()).Microseconds() // the feed follows the hub's clock a little later
		if wrongClock(skew.Microseconds()) {
			e.since.clock = now
			f.note(Event{Device: deviceID, Kind: kindClock, Text: fmt.Sprintf("its clock is %v ahead of the hub's", skew.Round(time.Second))}, now)
		}
	})
}

// Renumbered says that a device gives its frames numbers that its stream cannot go on with, and why.
func (f *Feed) Renumbered(deviceID, problem string) {
	f.update(deviceID, func(_ *entry, now int64) {
		f.noteOften(Event{Device: deviceID, Kind: kindStream, Text: problem}, "", now)
	})
}

// Disconnected says that a connection has ended. The code is the close code, 0 if there was none; returning says that the
// device ended it in an orderly way and may be back at once.
func (f *Feed) Disconnected(deviceID string, connection uint64, code device.CloseCode, reason string, returning bool) {
	f.update(deviceID, func(e *entry, now int64) {
		if connection != e.connection || !e.connected {
			return // a newer one took over, which has been told
		}
		e.connected, e.returning, e.closed = false, returning, now
		text := reason
		if code != 0 {
			text = fmt.Sprintf("%d %s", code, reason)
		}
		f.note(Event{Device: deviceID, Kind: kindDisconnected, Text: text, Address: e.address}, now)
	})
}

// Refused says that somebody at an address (host:port) was not let in, and why. The device is "" unless it is known which
// one it was.
func (f *Feed) Refused(address, deviceID, reason string) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.micros()
	if e := f.entries[deviceID]; e != nil {
		e.refused = now
	}
	f.noteOften(Event{Device: deviceID, Kind: kindRefused, Text: reason, Address: HostOf(address)}, reason, now)
}

// TLSFailed says that a TLS handshake with an address (host:port) failed.
func (f *Feed) TLSFailed(address, reason string) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteOften(Event{Kind: kindTLS, Text: reason, Address: HostOf(address)}, reason, f.micros())
}

// HostOf is the host of an address, or all of it if it has no port.
func HostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// update changes what is known of a device.
func (f *Feed) update(deviceID string, change func(e *entry, now int64)) {
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entry(deviceID)
	if e == nil {
		return
	}
	now := f.micros()
	change(e, now)
	e.mark(f.open())
	e.updateStates(now, f.open())
}

// committed takes an entry of the journal.
func (f *Feed) committed(c *tail.Entry) {
	var d *device.Data
	if c.Kind == tail.KindFrame {
		var err error
		if d, err = c.Data(); err != nil {
			return // the history says so
		}
	}
	f.apply(c, d)
}

// apply takes an entry of the journal; d is what is decoded of a frame.
func (f *Feed) apply(c *tail.Entry, d *device.Data) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch c.Kind {
	case tail.KindClock:
		f.followClock(c.Move.Base)
		return
	case tail.KindGap, tail.KindOverleap:
		f.followClock(f.store.Clock().Base()) // as far as is known
		for _, e := range f.sorted {
			f.touch(e)
		}
		return
	}
	e := f.entry(c.Device)
	if e == nil {
		return // removed since
	}
	f.touch(e)
	tick := f.open()
	if c.Kind == tail.KindFrame && f.frame(e, c, d, c.Received.UnixMicro(), tick) {
		return
	}
	now := f.micros()
	switch c.Kind {
	case tail.KindReject:
		if now-e.since.rejectedLast > recent {
			e.since.rejected = now
		}
		e.since.rejectedLast = now
		f.noteOften(Event{Device: e.id, Kind: kindRejected, Text: fmt.Sprintf("%v: %s", c.Code, c.Text)}, c.Code.String(), now)
	case tail.KindLost:
		if now-e.since.lostLast > recent {
			e.since.lost = now
		}
		e.since.lostLast = now
		f.noteOften(Event{Device: e.id, Kind: kindLost, Text: fmt.Sprintf("%d frames: %v", c.Last-c.First+1, c.Reason)}, "", now)
	case tail.KindBoot:
		if e.boot != 0 && e.boot != c.Boot {
			f.note(Event{Device: e.id, Kind: kindBoot, Text: fmt.Sprintf("boot %d", c.Boot)}, now)
		}
		e.boot = c.Boot
	case tail.KindRemoval:
		e.reset()
		e.schemaFrom = tick
		e.mark(tick)
	}
	e.updateStates(now, tick)
}

// frame takes a frame. One of another schema than the announced one is an old one: of it, only what the present schema has
// too is of interest. It reports whether the states can wait: they are what they were, and nothing becomes late before the next look.
func (f *Feed) frame(e *entry, c *tail.Entry, d *device.Data, received int64, tick uint64) (judged bool) {
	if hash := c.Source.Hash; hash != e.hash && (e.schema == nil || f.announced(e.id, hash)) {
		f.adopt(e, c.Source.Schema, hash)
	}
	if judged = e.take(c, d, received, tick); judged {
		e.next = 0
	}
	e.mark(tick)
	f.rates.frames++
	f.rates.readings += uint64(d.Readings())
	f.points += e.ring.trim(tick, f.second, f.points)
	return judged
}
