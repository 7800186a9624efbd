package live

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// entry returns what is known of a device, nil if it is not registered. mu is held.
func (f *Feed) entry(id string) *entry {
	if e := f.entries[id]; e != nil {
		return e
	}
	d, err := f.store.Devices.Get(id) // registered a moment ago
	if err != nil {
		return nil
	}
	return f.enter(&d)
}

// enter makes a registered device known or brings it up to date. mu is held.
func (f *Feed) enter(d *devices.Device) *entry {
	tick := f.open()
	e := f.entries[d.ID]
	if e == nil {
		e = newEntry(d.ID)
		e.schemaFrom = tick
		e.mark(tick)
		f.entries[d.ID] = e
		at, _ := slices.BinarySearchFunc(f.sorted, d.ID, func(e *entry, id string) int { return strings.Compare(e.id, id) })
		f.sorted = slices.Insert(f.sorted, at, e)
		f.touch(e)
		f.watch(e, f.watchAll)
	}
	if e.describe(d) {
		e.mark(tick)
	}
	if d.Schema != e.hash && d.Schema != (device.Hash{}) {
		if s, _, ok := f.store.SchemaByHash(d.Schema); ok {
			f.adopt(e, s, d.Schema)
		}
	}
	e.updateStates(f.micros(), tick)
	return e
}

// adopt makes s the schema of e.
func (f *Feed) adopt(e *entry, s *device.Schema, hash device.Hash) {
	if e.schema != nil {
		f.note(Event{Device: e.id, Kind: kindSchema, Text: "it measures something else now"}, f.micros())
	}
	e.adopt(s, hash)
	e.schemaFrom = f.open()
	e.mark(e.schemaFrom)
}

// announced reports whether a device's newest schema is the one with this hash.
func (f *Feed) announced(id string, hash device.Hash) bool {
	d, err := f.store.Devices.Get(id)
	return err == nil && d.Schema == hash
}

// sync brings the entries up to the registry, if that has changed.
func (f *Feed) sync() {
	version := f.store.Devices.Version()
	f.mu.Lock()
	known := len(f.entries) > 0 && version == f.registry
	f.mu.Unlock()
	if known {
		return
	}
	devices := f.store.Devices.All()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.registry = version
	present := make(map[string]bool, len(devices))
	for i := range devices {
		present[devices[i].ID] = true
		f.enter(&devices[i])
	}
	f.sorted = slices.DeleteFunc(f.sorted, func(e *entry) bool {
		if present[e.id] {
			return false
		}
		if _, err := f.store.Devices.Get(e.id); err == nil { // registered meanwhile
			return false
		}
		f.unwatch(e, e.watchers)
		delete(f.entries, e.id)
		f.removedIn = f.open()
		return true
	})
}

// lookBack is how far before a device's newest reading the history is searched for channels that have none at that moment,
// at most.
const lookBack = 10 * time.Minute

// learn fills in the last values from the history, which is all there is to show of a device until it sends again.
func (f *Feed) learn(ctx context.Context) {
	f.mu.Lock()
	all := slices.Clone(f.sorted)
	f.mu.Unlock()
	failed := 0
	var why error
	for _, e := range all {
		last := f.store.Ledger.Books(e.id).LastData
		if last.IsZero() {
			continue
		}
		err := f.learnFrom(ctx, e, last, last)
		if back := f.missing(e); back > 0 && err == nil {
			err = f.learnFrom(ctx, e, last.Add(-back), last.Add(maxFuture)) // a clock that is ahead
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			failed, why = failed+1, err
		}
	}
	if failed > 0 {
		f.log.Warn("the last values of some devices could not be read; they are shown when they send again", "devices", failed, "error", why)
	}
}

// missing returns how far back to look for the channels that have no value yet; 0: all have one.
func (f *Feed) missing(e *entry) (back time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range e.values {
		if e.values[i].time == noTime {
			interval := time.Duration(e.schema.Channels[i].Interval) * time.Millisecond
			back = max(back, min(max(2*interval, time.Minute), lookBack))
		}
	}
	return back
}

// learnFrom reads a stretch of a device's history.
func (f *Feed) learnFrom(ctx context.Context, e *entry, from, last time.Time) error {
	newest := map[device.Channel]history.Reading{}
	q := history.Query{Device: e.id, From: from, To: last.Add(time.Microsecond)}
	for r, err := range f.store.Readings(ctx, q) {
		if _, some := errors.AsType[*history.IncompleteError](err); some {
			break // the newest of what is left will do
		}
		if err != nil {
			return err
		}
		newest[*r.Channel] = r
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch, r := range newest {
		f.recall(e, &ch, &r)
	}
	e.mark(f.open())
	e.updateStates(f.micros(), f.open())
	return nil
}

// recall takes over a reading of the history, unless there is a newer one already.
func (f *Feed) recall(e *entry, ch *device.Channel, r *history.Reading) {
	t, now := r.Time.UnixMicro(), f.micros()
	if t > now+maxFuture.Microseconds() {
		return
	}
	if t > now {
		t = min(now, r.Received.UnixMicro())
	}
	i, ok := e.channel(ch)
	if !ok || e.values[i].time >= t {
		return
	}
	e.values[i] = value{time: t, bits: r.Value.Bits, text: r.Value.Text, state: StateStale, changed: f.open()}
	e.newest = max(e.newest, t)
}
