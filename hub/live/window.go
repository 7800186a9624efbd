package live

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// window is the content of /topic/devices for one list. It is put in order anew once a second.
type window struct {
	// static
	feed *Feed
	list List

	// guarded by topic.mu
	created uint64
	order   []*entry
	entered []uint64 // tick in which each of order came into the window
	ordered uint64   // tick in which order was last put together differently
	total   int
	matched int
}

func (f *Feed) newWindow(list List, cut uint64) content {
	w := &window{feed: f, list: list, created: cut}
	w.arrange(cut)
	return w
}

// arrange puts the window in order.
func (w *window) arrange(cut uint64) (changed bool) {
	order, total, matched := w.feed.pick(&w.list)
	changed = total != w.total || matched != w.matched
	w.total, w.matched = total, matched
	if slices.Equal(order, w.order) {
		return changed
	}
	before := make(map[*entry]uint64, len(w.order))
	for i, e := range w.order {
		before[e] = w.entered[i]
	}
	w.entered = make([]uint64, len(order))
	for i, e := range order {
		if at, was := before[e]; was {
			w.entered[i] = at
		} else {
			w.entered[i] = cut
		}
	}
	w.order, w.ordered = order, cut
	return true
}

func (w *window) advance(cut uint64, second bool) (changed bool) {
	if second {
		changed = w.arrange(cut)
	}
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	return changed || slices.ContainsFunc(w.order, func(e *entry) bool { return e.changed >= cut })
}

func (w *window) covers(since uint64) bool { return since >= w.created }

func (w *window) close() {}

// body writes a Window.
func (w *window) body(since, _ uint64, snapshot bool) []byte {
	f := w.feed
	kind := KindUpdate
	if snapshot {
		kind = KindSnapshot
	}
	b := strconv.AppendInt([]byte(`{"now":`), f.micros()/1000, 10)
	b = append(append(append(b, `,"kind":"`...), kind...), '"')
	b = strconv.AppendInt(append(b, `,"total":`...), int64(w.total), 10)
	b = strconv.AppendInt(append(b, `,"matched":`...), int64(w.matched), 10)
	b = strconv.AppendInt(append(b, `,"first":`...), int64(w.list.First), 10)
	if snapshot || w.ordered > since {
		ids := make([]string, len(w.order))
		for i, e := range w.order {
			ids[i] = e.id
		}
		order, _ := json.Marshal(ids) // strings always have a JSON form
		b = append(append(b, `,"order":`...), order...)
	}
	b = append(b, `,"rows":[`...)
	none := len(b)
	for i, e := range w.order {
		f.mu.Lock()
		if snapshot || e.changed > since || w.entered[i] > since {
			if len(b) > none {
				b = append(b, ',')
			}
			b = f.appendRow(b, e)
		}
		f.mu.Unlock()
	}
	return append(b, "]}"...)
}

// Devices returns the devices that l selects, as a snapshot.
func (f *Feed) Devices(l List) Window {
	f.sync()
	order, total, matched := f.pick(&l)
	w := Window{
		Now: millis(f.micros()), Kind: KindSnapshot, Total: total, Matched: matched, First: l.First,
		Order: make([]string, len(order)), Rows: make([]Row, len(order)),
	}
	channels := listed
	if l.AllValues {
		channels = device.MaxChannels
	}
	for i, e := range order {
		f.mu.Lock()
		w.Order[i], w.Rows[i] = e.id, rowOf(e, channels, 0)
		f.mu.Unlock()
	}
	return w
}
