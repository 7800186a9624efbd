package live

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

const (
	maxAttention = 20 // troubles that are listed

	// recent is how long single events, such as a rejected frame, count as trouble.
	recent = int64(time.Hour / time.Microsecond)

	// settling is how long holes are normal: a backlog may be on its way.
	settling = int64(time.Minute / time.Microsecond)

	rowIdle = 60 // seconds after which a row that nobody asked for is dropped
)

// look goes over all devices once a second: what time alone has changed, what their books say, how many are in which state,
// and what needs attention.
func (f *Feed) look() {
	books := f.readBooks()
	alarms := f.store.Alarms.All()

	f.mu.Lock()
	defer f.mu.Unlock()
	moment := f.now()
	now, tick := moment.UnixMicro(), f.open()
	setBack := now < f.looked
	f.looked = now
	for i := range books {
		f.enterBooks(&books[i], now, tick)
	}
	f.compareAlarms(alarms, now)
	f.events.settle(f, now)
	f.rates.turn(moment)

	counts := Counts{Total: len(f.sorted)}
	f.attention = f.attention[:0]
	for _, e := range f.sorted {
		if setBack {
			e.setBack(now)
		}
		if now >= e.next {
			e.updateStates(now, tick)
		}
		switch e.state {
		case StateLive:
			counts.Live++
		case StateLate:
			counts.Late++
		case StateStale:
			counts.Stale++
		case StateOffline:
			counts.Offline++
		case StateRevoked:
			counts.Revoked++
		default:
			counts.Never++
		}
		if e.troubled = f.troubles(e, now); e.troubled {
			counts.Attention++
		}
		if e.row != nil && e.rowUsed+rowIdle*f.second < tick {
			e.row = nil
		}
	}
	f.counts = counts
}

// entryBooks is what the books say of a device.
type entryBooks struct {
	entry *entry
	ledger.Books
}

// readBooks reads the books of the devices that were touched since the last time.
func (f *Feed) readBooks() []entryBooks {
	f.mu.Lock()
	f.books = f.books[:0]
	for _, e := range f.touched {
		e.touched = false
		f.books = append(f.books, entryBooks{entry: e})
	}
	f.touched = f.touched[:0]
	f.mu.Unlock()
	for i := range f.books {
		f.books[i].Books = f.store.Ledger.Books(f.books[i].entry.id)
	}
	return f.books
}

func (f *Feed) touch(e *entry) {
	if !e.touched {
		e.touched = true
		f.touched = append(f.touched, e)
	}
}

func (f *Feed) enterBooks(b *entryBooks, now int64, tick uint64) {
	e := b.entry
	if b.Holes == 0 {
		e.since.holes = 0
	} else if e.since.holes == 0 {
		e.since.holes = now
	}
	if received := b.LastReceived.UnixMicro() + f.view.Base() - b.Base; !b.LastReceived.IsZero() && e.seen < received {
		e.seen = received
		e.next = now
	}
	if e.rejected != b.Rejected || e.holes != b.Holes || e.lost != b.Lost {
		e.rejected, e.holes, e.lost = b.Rejected, b.Holes, b.Lost
		e.mark(tick)
	}
}

// troubles enters what is the matter with e in the list of what needs attention, and reports whether anything is.
func (f *Feed) troubles(e *entry, now int64) (any bool) {
	say := func(severity, reason string, since int64, detail string) {
		any = true
		f.attend(Trouble{Device: e.id, Severity: severity, Reason: reason, Since: millis(since), Detail: detail})
	}
	switch {
	case e.state == StateRevoked && e.refused != 0 && now-e.refused < recent:
		say(severityWarning, "revoked", e.refused, "")
	case e.state == StateOffline:
		say(severityAlarm, "offline", e.stateFrom, "")
	case e.state == StateStale:
		say(severityAlarm, "stale", e.stateFrom, "")
	case (e.state == StateLive || e.state == StateLate) && e.stale > 0:
		for i := range e.values {
			if v, ch := &e.values[i], &e.schema.Channels[i]; v.state == StateStale && v.time != noTime && ch.Interval > 0 {
				_, stale := thresholds(v.time, e.expectedOf(ch))
				say(severityWarning, "channel", stale, ch.Name)
			}
		}
	}
	if e.since.clock != 0 {
		say(severityWarning, "clock", e.since.clock, time.Duration(e.skew*1000).Round(time.Second).String())
	}
	if last := e.since.rejectedLast; last != 0 && now-last < recent {
		say(severityWarning, "rejected", e.since.rejected, fmt.Sprint(e.rejected))
	}
	if last := e.since.lostLast; last != 0 && now-last < recent {
		say(severityWarning, "lost", e.since.lost, fmt.Sprint(e.lost))
	}
	if from := e.since.holes; from != 0 && now-from > settling {
		say(severityWarning, "holes", from, fmt.Sprint(e.holes))
	}
	return any
}

const (
	severityAlarm   = "alarm"
	severityWarning = "warning"
)

// attend keeps t if it is among those that matter most.
func (f *Feed) attend(t Trouble) {
	at, _ := slices.BinarySearchFunc(f.attention, t, compareTroubles)
	if at >= maxAttention {
		return
	}
	if len(f.attention) == maxAttention {
		f.attention = f.attention[:maxAttention-1]
	}
	f.attention = slices.Insert(f.attention, at, t)
}

// compareTroubles puts alarms first, and the newest of each first.
func compareTroubles(a, b Trouble) int {
	return cmp.Or(cmp.Compare(a.Severity, b.Severity), -cmp.Compare(a.Since, b.Since), cmp.Compare(a.Device, b.Device), cmp.Compare(a.Reason, b.Reason))
}

// compareAlarms makes events of alarms that have begun or ended.
func (f *Feed) compareAlarms(current []alarms.Alarm, now int64) {
	has := func(list []alarms.Alarm, a alarms.Alarm) bool {
		return slices.ContainsFunc(list, func(b alarms.Alarm) bool { return a.Key == b.Key })
	}
	for _, a := range current {
		if !has(f.alarms, a) {
			f.note(Event{Kind: kindAlarm, Text: a.Text}, now)
		}
	}
	for _, a := range f.alarms {
		if !has(current, a) {
			f.note(Event{Kind: kindAlarm, Text: "over: " + a.Text}, now)
		}
	}
	f.alarms = current
}
