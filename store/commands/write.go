package commands

import (
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

// What is kept of commands that are settled.
const (
	maxKept      = 10_000
	maxKeptBytes = 32 << 20
	pruneStep    = 64 // above the bound before the oldest go, so that not every change has to look
)

// write is the transaction.
func (ch *Change) write(tx *bbolt.Tx) error {
	b := tx.Bucket(hubdb.BucketCommands)
	ch.kept = ch.book.kept
	for number, c := range ch.commands {
		key, value := hubdb.Key8(number), c.encode()
		if old := hubdb.Get(b, key); old != nil {
			ch.kept.bytes -= int64(len(old))
		} else {
			ch.kept.count++
		}
		ch.kept.bytes += int64(len(value))
		if err := hubdb.Put(b, key, value); err != nil {
			return err
		}
	}
	if err := ch.prune(b); err != nil {
		return err
	}
	if ch.extended {
		if err := ch.book.extend.Write(tx); err != nil {
			return err
		}
	}
	if err := ch.writeAnnounced(tx); err != nil {
		return err
	}
	if ch.moved != nil {
		if err := hubdb.PutClock(tx, hubdb.KeyCommandsClock, ch.book.Clock, *ch.moved); err != nil {
			return err
		}
	}
	return audit.Append(tx, ch.now, ch.audit...)
}

// prune drops the oldest settled commands above the bounds.
func (ch *Change) prune(b *bbolt.Bucket) error {
	settled := ch.kept.count - ch.book.open
	if settled < maxKept+pruneStep && ch.kept.bytes < maxKeptBytes {
		return nil
	}
	bytes, most := ch.kept.bytes, int64(maxKeptBytes)
	if bytes > most {
		most /= 2
	}
	ch.dropped = nil
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		number, _ := hubdb.ParseKey8(k)
		value, ok := hubdb.Unseal(k, v)
		var old Command
		if !ok || old.decode(number, value) != nil {
			continue // the next start takes it out
		}
		if settled <= maxKept && bytes <= most {
			break
		}
		if old.State.Open() {
			continue
		}
		ch.dropped = append(ch.dropped, old)
		settled--
		bytes -= int64(len(value))
	}
	for i := range ch.dropped {
		if err := b.Delete(hubdb.Key8(ch.dropped[i].Number)); err != nil {
			return err
		}
	}
	ch.kept = stored{ch.kept.count - len(ch.dropped), bytes}
	return nil
}

// publish makes known what is on disk now.
func (ch *Change) publish() {
	b := ch.book
	b.kept = ch.kept
	var by time.Duration // that the clock was set
	if ch.moved != nil {
		by = b.times.Follow(*ch.moved)
		b.clockRecorded.Store(true)
	}
	ch.publishAnnounced()
	b.index.Lock()
	for i := range ch.events {
		c := &ch.events[i]
		if _, known := b.index.numbers[c.ID]; !known {
			b.index.numbers[c.ID] = c.Number
			b.index.lists[c.Device] = append(b.index.lists[c.Device], c.Number)
		}
	}
	for i := range ch.dropped {
		c := &ch.dropped[i]
		delete(b.index.numbers, c.ID)
		list := slices.DeleteFunc(b.index.lists[c.Device], func(n uint64) bool { return n == c.Number })
		if b.index.lists[c.Device] = list; len(list) == 0 {
			delete(b.index.lists, c.Device)
		}
		if q := b.devices[c.Device]; q != nil { // the device is not asked about it any more
			q.lost = slices.DeleteFunc(q.lost, func(o *Command) bool { return o.Number == c.Number })
		}
	}
	b.index.Unlock()
	for i := range ch.events {
		b.watchers.Notify(ch.events[i])
	}
	b.done(true, by)
	if len(ch.events) > 0 {
		notify.Signal(b.due)
	}
}
