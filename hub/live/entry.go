package live

import (
	"math"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

const (
	noTime = math.MinInt64 // µs: there is no such moment

	// maxFuture is how far ahead of the hub's clock a reading may be and still be believed: as one of its receipt.
	maxFuture = 5 * time.Minute

	// maxSkew is how wrong a device's clock may be before it is called wrong.
	maxSkew = 5 * time.Second
)

// entry is what is known of one device, guarded by Feed.mu. There are ten thousand of them. Moments are µs since 1970.
type entry struct {
	// from the registry
	id       string
	kind     string
	labels   map[string]string
	firmware string
	model    string
	search   string // what a search looks through, in lower case
	created  int64
	revoked  bool

	// from the hub
	connection uint64 // the newest one's number; 0: none yet
	connected  bool
	returning  bool  // the connection ended in an orderly way: the device is expected back
	opened     int64 // begin of the newest connection
	closed     int64 // its end; 0: none
	address    string
	greeted    bool  // the device has a clock of its own, and has told what it shows
	skew       int64 // µs that the device's clock is ahead
	refused    int64 // when it was last turned away although it is known; 0: never

	// from the journal
	schema  *device.Schema // nil: none announced
	hash    device.Hash    // of schema
	values  []value        // one for each channel of schema
	pace    int64          // µs expected between two readings of the quickest channel, as the schema has it; 0: irregular
	spacing int64          // µs between two frames, as they came; 0: not known
	arrived int64          // when the newest frame with news came on this connection; 0: none yet
	seen    int64          // when the newest frame came; 0: never
	newest  int64          // of the newest reading that is not in the future; noTime: none
	boot    uint64         // newest boot announced; 0: none
	touched bool           // its books may have changed

	rejected uint64
	holes    uint64
	lost     uint64
	since    troubleTimes

	// what follows from all that
	state     State
	stateFrom int64
	troubled  bool
	stale     int   // channels that are stale although others are not
	next      int64 // when time alone may change the state of something

	// for viewers
	changed    uint64 // tick
	schemaFrom uint64 // tick in which the schema changed
	row        []byte // as it stands in lists, in JSON; nil: not at hand
	rowUsed    uint64 // tick
	watchers   int    // topics that watch it in detail
	ring       *ring  // nil: nobody does
}

// value is the newest reading of a channel.
type value struct {
	time    int64 // not after its receipt; noTime: there is none
	bits    uint64
	text    string // of a string
	changed uint64 // tick
	state   State
}

// troubleTimes says since when something is the matter; 0: it is not.
type troubleTimes struct {
	rejected, rejectedLast int64
	lost, lostLast         int64
	holes                  int64
	clock                  int64
}

func newEntry(id string) *entry {
	return &entry{id: id, newest: noTime, state: StateNever}
}

// mark says that something has changed in a tick.
func (e *entry) mark(tick uint64) { e.changed, e.row = tick, nil }

// describe takes over what the registry says and reports whether anything is new.
func (e *entry) describe(d *devices.Device) bool {
	same := e.kind == d.Kind && e.firmware == d.Firmware && e.model == d.Model && e.revoked == d.Revoked && sameLabels(e.labels, d.Labels)
	if same && e.search != "" {
		return false
	}
	e.kind, e.labels, e.firmware, e.model, e.revoked = d.Kind, d.Labels, d.Firmware, d.Model, d.Revoked
	e.created = d.Created.UnixMicro()
	text := []string{e.id, e.kind, e.model}
	for name, v := range e.labels {
		text = append(text, name+"="+v)
	}
	e.search = strings.ToLower(strings.Join(text, "\n"))
	return true
}

// sameLabels compares maps that nobody changes.
func sameLabels(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// adopt makes s the schema and keeps the values of the channels that stay what they were.
func (e *entry) adopt(s *device.Schema, hash device.Hash) {
	values := make([]value, len(s.Channels))
	var pace uint32
	for i := range s.Channels {
		ch := &s.Channels[i]
		values[i] = value{time: noTime, state: StateStale}
		if j, ok := e.channel(ch); ok {
			values[i] = e.values[j]
		}
		if ch.Interval > 0 && (pace == 0 || ch.Interval < pace) {
			pace = ch.Interval
		}
	}
	e.schema, e.hash, e.values, e.pace = s, hash, values, int64(pace)*1000
}

// channel finds a channel of a schema in the present one, unless it has become something else.
func (e *entry) channel(ch *device.Channel) (index int, ok bool) {
	if e.schema == nil {
		return 0, false
	}
	for i := range e.schema.Channels {
		own := &e.schema.Channels[i]
		if own.ID == ch.ID {
			return i, own.Type == ch.Type && own.Scale == ch.Scale && own.Name == ch.Name && own.Unit == ch.Unit
		}
	}
	return 0, false
}

// reset forgets what the journal said.
func (e *entry) reset() {
	for i := range e.values {
		e.values[i] = value{time: noTime, state: StateStale}
	}
	e.spacing, e.arrived, e.seen, e.newest, e.boot = 0, 0, 0, noTime, 0
	e.since = troubleTimes{}
}

// take takes over the readings of a frame that came at received; tick is the one under way. It reports whether nothing but times has
// become newer: all that the frame is of was live and still is.
func (e *entry) take(c *tail.Entry, d *device.Data, received int64, tick uint64) (asBefore bool) {
	asBefore = e.state == StateLive
	offset := c.Timing.Offset
	if c.Timing.Quality == tail.QualityDoubtful && d.Clock == device.ClockWall && wrongClock(e.skew) {
		offset -= e.skew
	}
	latest := received + maxFuture.Microseconds()
	oldest, newest := int64(math.MaxInt64), int64(noTime)
	at := 0
	for i := range d.Columns {
		col := &d.Columns[i]
		if at = e.find(col, c.Source, at); at < 0 {
			at = 0
			continue
		}
		v := &e.values[at]
		if v.time > received { // the hub's clock was set back
			v.time, asBefore = noTime, false
		}
		asBefore = asBefore && v.state == StateLive
		before, newestOf, best := v.time, v.time, -1
		for j, t := range d.Times {
			if t += offset; t > latest || col.Present != nil && !col.Present[j] {
				continue
			}
			oldest, newest = min(oldest, t, received), max(newest, min(t, received))
			switch {
			case t > before:
				e.ring.add(tick, t, &e.schema.Channels[at], col, j)
			case t < before:
				e.ring.late(tick, t)
			}
			if t >= newestOf {
				newestOf, best = t, j
			}
		}
		if best < 0 {
			continue
		}
		v.time = min(newestOf, received)
		v.changed = tick
		if col.Type == device.String {
			if string(col.Text[best]) != v.text {
				v.text = string(col.Text[best])
			}
		} else {
			v.bits = col.Bits[best]
		}
	}
	if e.newest > received {
		e.newest, asBefore = noTime, false
	}
	e.seen = received
	if newest > e.newest {
		e.newest = newest
		e.measure(received, newest-oldest)
	}
	return asBefore
}

// find returns the place in values of a column, -1 if there is none. Columns and channels are by id: the search goes on at
// the place from.
func (e *entry) find(col *device.Column, of *tail.Source, from int) int {
	if of.Hash != e.hash {
		ch, ok := of.Schema.Channel(col.ID)
		if !ok {
			return -1
		}
		if i, ok := e.channel(ch); ok {
			return i
		}
		return -1
	}
	for i := from; i < len(e.schema.Channels); i++ {
		if e.schema.Channels[i].ID == col.ID {
			return i
		}
	}
	return -1
}

// measure learns from a frame with news how far apart frames are: the time since the one before on this connection, and at
// least the stretch of time that the frame covers.
func (e *entry) measure(received, covers int64) {
	gap := int64(0)
	if e.arrived != 0 {
		gap = received - e.arrived
	}
	e.arrived = received
	if e.pace > 0 || e.spacing > 0 {
		gap = min(gap, 3*e.expected()) // after a silence
	}
	gap = max(gap, covers)
	if e.spacing == 0 {
		e.spacing = gap
	} else {
		e.spacing += (gap - e.spacing) / 4
	}
}

// setBack says that the hub's clock was set back to now: what happened before did not happen later.
func (e *entry) setBack(now int64) {
	e.opened, e.closed, e.arrived, e.seen = min(e.opened, now), min(e.closed, now), min(e.arrived, now), min(e.seen, now)
	e.next = now
}

func wrongClock(skew int64) bool { return time.Duration(max(skew, -skew))*time.Microsecond > maxSkew }
