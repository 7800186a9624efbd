package live

import (
	"encoding/json"
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// deviceEvents is how many events a message about a device has at most.
const deviceEvents = 20

// detail is the content of /topic/devices/{id}/readings.
type detail struct {
	// static
	feed *Feed
	id   string

	// guarded by topic.mu
	entry *entry // nil: there is no such device
	from  uint64 // tick since which it is this entry
}

func (f *Feed) newDetail(id string, cut uint64) content {
	d := &detail{feed: f, id: id, from: cut}
	f.mu.Lock()
	defer f.mu.Unlock()
	d.attach(cut)
	return d
}

// attach finds the device, which may have been removed or registered since, and reports whether it has.
func (d *detail) attach(cut uint64) (changed bool) {
	e := d.feed.entries[d.id]
	if e == d.entry {
		return false
	}
	if e != nil {
		d.feed.watch(e, 1)
	}
	d.entry, d.from = e, cut // the old one has lost its watchers with its place
	return true
}

func (d *detail) advance(cut uint64, _ bool) bool {
	d.feed.mu.Lock()
	defer d.feed.mu.Unlock()
	return d.attach(cut) || d.entry != nil && d.entry.changed >= cut
}

func (d *detail) covers(since uint64) bool {
	d.feed.mu.Lock()
	defer d.feed.mu.Unlock()
	if d.entry == nil {
		return since >= d.from
	}
	ring := d.entry.ring // nil: the device was removed in this tick
	return ring != nil && since >= d.from && since >= d.entry.schemaFrom && since >= ring.lost
}

func (d *detail) close() {
	d.feed.mu.Lock()
	defer d.feed.mu.Unlock()
	if d.entry != nil && d.feed.entries[d.id] == d.entry {
		d.feed.unwatch(d.entry, 1)
	}
}

// body writes a DeviceUpdate.
func (d *detail) body(since, cut uint64, snapshot bool) []byte {
	f := d.feed
	u := DeviceUpdate{Now: millis(f.micros()), Kind: KindUpdate}
	if snapshot {
		u.Kind = KindSnapshot
	}
	if d.entry == nil {
		u.Kind = KindRemoved
		return encode(&u)
	}
	f.mu.Lock()
	u.add(d.entry, since, cut, snapshot)
	u.Events = f.eventsBetween(d.id, since, cut, deviceEvents)
	s, hash := d.entry.schema, d.entry.hash
	f.mu.Unlock()
	if snapshot {
		u.Schema = SchemaOf(s, hash)
	}
	return encode(&u)
}

// add fills in what there is to say of e. Feed.mu is held.
func (u *DeviceUpdate) add(e *entry, since, cut uint64, snapshot bool) {
	row := rowOf(e, device.MaxChannels, since)
	u.Device = &row
	if !snapshot {
		u.Points, u.Backlog = e.ring.between(since, cut)
	}
}

// encode encodes a message, which can't fail.
func encode(message any) []byte {
	b, err := json.Marshal(message)
	if err != nil {
		panic(err)
	}
	return b
}

// fleet is the content of /topic/devices/*/readings.
type fleet struct {
	// static
	feed *Feed

	// guarded by topic.mu
	total int
	from  uint64 // tick in which a device was last removed, or the topic made
}

func (f *Feed) newFleet(cut uint64) content {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchAll++
	for _, e := range f.sorted {
		f.watch(e, 1)
	}
	return &fleet{feed: f, from: cut}
}

func (a *fleet) advance(cut uint64, _ bool) (changed bool) {
	f := a.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	a.total = len(f.sorted)
	if f.removedIn >= cut {
		a.from, changed = cut, true
	}
	return changed || slices.ContainsFunc(f.sorted, func(e *entry) bool { return e.changed >= cut })
}

func (a *fleet) covers(since uint64) bool { return since >= a.from }

func (a *fleet) close() {
	f := a.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchAll--
	for _, e := range f.sorted {
		f.unwatch(e, 1)
	}
}

// body writes a DevicesUpdate. A device whose points are not all there comes as a snapshot.
func (a *fleet) body(since, cut uint64, snapshot bool) []byte {
	f := a.feed
	f.mu.Lock()
	all := slices.Clone(f.sorted)
	f.mu.Unlock()
	message := DevicesUpdate{Now: millis(f.micros()), Kind: KindUpdate, Total: len(all), Devices: []DeviceUpdate{}}
	if snapshot {
		message.Kind = KindSnapshot
	}
	for _, e := range all {
		f.mu.Lock()
		if e.ring != nil && (snapshot || e.changed > since) {
			whole := snapshot || since < e.schemaFrom || since < e.ring.lost
			u := DeviceUpdate{Kind: KindUpdate}
			from := since
			if whole {
				u.Kind, from = KindSnapshot, 0
			}
			u.add(e, from, cut, whole)
			message.Devices = append(message.Devices, u)
		}
		f.mu.Unlock()
	}
	return encode(&message)
}

// Detail is what is known of one device.
type Detail struct {
	Device Row     // with all values
	Schema *Schema // nil: none announced
	Events []Event // the newest 20, newest first
}

// Device returns what is known of a device; ok is false if it is not registered.
func (f *Feed) Device(id string) (d Detail, ok bool) {
	f.sync()
	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entry(id)
	if e == nil {
		return Detail{}, false
	}
	return Detail{
		Device: rowOf(e, device.MaxChannels, 0), Schema: SchemaOf(e.schema, e.hash),
		Events: f.eventsBetween(id, 0, f.open(), deviceEvents),
	}, true
}
