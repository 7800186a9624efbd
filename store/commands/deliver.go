package commands

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Delivery gives the commands of one device to one connection of it. Its methods are for one goroutine.
//
// Why nothing that is not idempotent is carried out twice, and nothing is carried out after its deadline, whoever is killed when:
//
//   - A command is recorded as sent, with the device's stream, before it is written to the connection. A hub that is killed in
//     between or later finds it so; one that is killed before finds it queued, and no device has seen it.
//   - What was sent is sent again only to a device that knows whether it has begun it: to the same stream, which a device that has
//     lost its memory does not have, and within the last commands that a device has to remember. Such a device does nothing but
//     repeat its RESULT. To other devices only idempotent commands are sent again. The rest becomes unknown.
//   - An answer is recorded after it has come. A hub that is killed in between asks again and gets it again.
//   - A device that is killed while it carries a command out, and keeps its stream, has recorded before that it begins. It answers
//     after its restart that it does not know how far it got. One that does not keep its stream is not asked.
//   - COMMAND says how long is left at the moment it is written, and until when it may be begun. What the hub sends again when that
//     is over can only be answered.
type Delivery struct {
	book   *Book
	device string
	stream uint64
	given  map[device.CommandID]bool // sent on this connection, and not settled
	first  bool                      // nothing was exchanged yet
}

// Delivery begins to deliver to a connection of a device whose HELLO names this stream.
func (b *Book) Delivery(deviceID string, stream uint64) *Delivery {
	return &Delivery{book: b, device: deviceID, stream: stream, given: map[device.CommandID]bool{}, first: true}
}

// Exchange records the results that have come and returns the commands that are to be sent now, in this order. They are recorded as
// sent. again is when to call Exchange though nothing has happened; zero: never. On an error nothing is recorded or to be sent.
func (d *Delivery) Exchange(results []*device.Result) (send []Command, again time.Time, err error) {
	var given map[device.CommandID]bool
	base := int64(0)
	err = d.book.Do(func(ch *Change) error {
		dev, err := d.book.Device(d.device)
		if err != nil {
			return err
		}
		schema := dev.Schema
		if schema == nil {
			schema = &device.Schema{}
		}
		for _, r := range results {
			ch.answered(d.device, r)
		}
		if dev.Schema != nil {
			ch.announce(d.device, announcement{dev.Hash, dev.Message})
		}
		if d.book.extend.Deliver != nil {
			again = d.book.extend.Deliver(ch, d.device, schema, d.first)
		}
		base = ch.base()
		send = append(ch.repeats(d), ch.sendQueued(d)...)
		given = map[device.CommandID]bool{}
		q := ch.touch(d.device)
		for _, list := range [][]*Command{q.sent, q.lost} {
			for _, c := range list {
				given[c.ID] = d.given[c.ID]
			}
		}
		return nil
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	for i := range send {
		given[send[i].ID] = true
		send[i].base = base
	}
	again = wallclock.Shift(again, time.Duration(d.book.Clock.Base()-base)*time.Microsecond)
	d.given, d.first = given, false
	return send, again, nil
}

// Record is Exchange for a connection that ends: it only records.
func (d *Delivery) Record(results []*device.Result) error {
	return d.book.Do(func(ch *Change) error {
		for _, r := range results {
			ch.answered(d.device, r)
		}
		return nil
	})
}

// answered takes a RESULT. One for a command that is settled is a repeated one, and one for a command of another device is not the
// device's to give.
func (ch *Change) answered(id string, r *device.Result) {
	c, err := ch.find(r.ID)
	if err != nil || c.Device != id {
		return
	}
	happened := map[device.ResultStatus]event{
		device.ResultSucceeded: eventSucceed, device.ResultFailed: eventFail, device.ResultRejected: eventReject, device.ResultExpired: eventExpire,
	}[r.Status]
	ch.apply(c, happened, actor{by: id}, func(c *Command) { c.Text, c.Values = r.Text, finite(r.Values) })
}

// finite makes texts of the floats that JSON has no form for.
func finite(values map[string]any) map[string]any {
	values = maps.Clone(values)
	for name, v := range values {
		values[name] = Finite(v)
	}
	return values
}

// Finite returns a value, or a text for a float that JSON has no form for.
func Finite(v any) any {
	f, ok := v.(float64)
	switch {
	case !ok:
		return v
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return v
}

// repeats returns the commands that go out on this connection although they were sent before, and gives up those that cannot be
// repeated.
func (ch *Change) repeats(d *Delivery) (send []Command) {
	q := ch.touch(d.device)
	lists := slices.Concat(q.lost, q.sent)
	slices.SortFunc(lists, byTurn)
	for _, c := range lists {
		switch {
		case d.given[c.ID]:
		case c.stream == d.stream && q.recent(c), c.Idempotent && c.State == Sent && ch.now.Before(c.Deadline):
			send = append(send, *c)
		case c.State == Sent && c.stream != d.stream:
			ch.apply(c, eventTimeout, byHub, func(c *Command) { c.Text = "the device restarted after it was sent, so the outcome is not known" })
		}
	}
	return send
}

// sendQueued sends what waits, as far as the window reaches.
func (ch *Change) sendQueued(d *Delivery) (send []Command) {
	q := ch.touch(d.device)
	for _, c := range slices.Clone(q.queued) {
		if !ch.now.Before(c.Deadline) {
			ch.apply(c, eventTimeout, byHub, notInTime)
			continue
		}
		if len(q.sent) >= window {
			break
		}
		sent, _ := ch.apply(c, eventSend, byHub, func(c *Command) {
			c.Sent, c.stream, c.turn = ch.now.UTC(), d.stream, q.turn+1
		})
		send = append(send, *sent)
	}
	return send
}

func notInTime(c *Command) { c.Text = "the device did not connect in time" }
