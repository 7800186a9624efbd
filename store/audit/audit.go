// Package audit is the audit trail: who did what through the hub, and what came of it. Nothing changes or drops an entry but the
// bound of the trail.
package audit

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	maxEntries = 50_000 // then the oldest go, dropStep at a time
	dropStep   = 256

	maxText = 512 // bytes
	maxName = 128 // bytes of By and From

	defaultPage = 100
	maxPage     = 1000
)

// Entry is one thing that somebody did through the hub, or that came of it.
type Entry struct {
	Number  uint64           `json:"number"` // counts the entries
	At      time.Time        `json:"at"`
	By      string           `json:"by"`             // a person, an API key, the device, or the hub itself
	From    string           `json:"from,omitempty"` // address, or the like
	Action  string           `json:"action"`         // "command sent", "device added" and the like: the subject and what became of it
	Device  string           `json:"device,omitempty"`
	Command device.CommandID `json:"command,omitzero"`
	Text    string           `json:"text,omitempty"`
}

// record is an entry in hub.db.
type record struct {
	At      int64  `cbor:"1,keyasint"` // ns since 1970
	By      string `cbor:"2,keyasint,omitempty"`
	From    string `cbor:"3,keyasint,omitempty"`
	Action  string `cbor:"4,keyasint"`
	Device  string `cbor:"5,keyasint,omitempty"`
	Command []byte `cbor:"6,keyasint,omitempty"`
	Text    string `cbor:"7,keyasint,omitempty"`
}

// Trail is the audit trail. It is in hub.db only. Its methods are safe for concurrent use.
type Trail struct {
	db     *hubdb.DB
	clock  *wallclock.Clock
	alarms *alarms.List
}

// Open looks for damaged entries in db, and returns the trail.
func Open(db *hubdb.DB, clock *wallclock.Clock, alarms *alarms.List) (*Trail, error) {
	return &Trail{db: db, clock: clock, alarms: alarms}, db.View(func(tx *bbolt.Tx) error {
		return db.Each(tx, hubdb.BucketAudit, func(k, v []byte) error {
			var r record
			if _, ok := hubdb.ParseKey8(k); !ok {
				return hubdb.ErrRecord
			}
			return cbor.Unmarshal(v, &r)
		})
	})
}

// Enter enters what somebody did; it is on disk when Enter returns. At and Number are filled in. If it fails, there is an alarm,
// too.
func (t *Trail) Enter(entries ...Entry) error {
	if err := t.db.Update(func(tx *bbolt.Tx) error { return Append(tx, t.clock.Now(), entries...) }); err != nil {
		err = fmt.Errorf("write hub.db: %w", err)
		t.alarms.Set("audit", "what is done through the hub can't be recorded: "+err.Error())
		return err
	}
	t.alarms.Clear("audit")
	return nil
}

// Append enters entries in the transaction of what they tell of, and drops the oldest above the bound. Number is filled in, and At
// is now.
func Append(tx *bbolt.Tx, now time.Time, entries ...Entry) error {
	b := tx.Bucket(hubdb.BucketAudit)
	next := uint64(1)
	if k, _ := b.Cursor().Last(); k != nil {
		last, _ := hubdb.ParseKey8(k)
		next = last + 1
	}
	for i := range entries {
		e := &entries[i]
		r := record{
			At: now.UnixNano(), By: Printable(e.By), From: Printable(e.From), Action: e.Action, Device: e.Device,
			Text: strings.ToValidUTF8(e.Text[:min(len(e.Text), maxText)], ""),
		}
		if e.Command != (device.CommandID{}) {
			r.Command = e.Command[:]
		}
		if err := hubdb.Put(b, hubdb.Key8(next), hubdb.Encode(&r)); err != nil {
			return err
		}
		next++
	}
	return prune(b, next)
}

// prune drops the oldest entries if there are too many.
func prune(b *bbolt.Bucket, next uint64) error {
	c := b.Cursor()
	k, _ := c.First()
	first, ok := hubdb.ParseKey8(k)
	if !ok || next-first < maxEntries+dropStep {
		return nil
	}
	var keys [][]byte
	for ; k != nil; k, _ = c.Next() {
		if number, _ := hubdb.ParseKey8(k); number+maxEntries >= next {
			break
		}
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Printable is the name or the address of somebody as it is kept: it does no harm in a table or a terminal.
func Printable(text string) string {
	clean := strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	return strings.ToValidUTF8(clean[:min(len(clean), maxName)], "")
}

// Filter selects entries. Zero values select all.
type Filter struct {
	Device string
	Since  time.Time
	After  uint64 // higher numbers only
	Before uint64 // lower numbers only: the page behind another
	Limit  int    // 0: 100; at most 1000

	OldestFirst bool // the oldest that are selected, in their order
}

// Entries returns entries, the newest first unless the filter says otherwise.
func (t *Trail) Entries(f Filter) ([]Entry, error) {
	if f.Limit <= 0 {
		f.Limit = defaultPage
	}
	f.Limit = min(f.Limit, maxPage)
	list := []Entry{}
	err := t.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(hubdb.BucketAudit).Cursor()
		k, v := hubdb.SeekBefore(c, f.Before)
		step := c.Prev
		if f.OldestFirst {
			k, v = c.Seek(hubdb.Key8(f.After + 1))
			step = c.Next
		}
		for ; k != nil && len(list) < f.Limit; k, v = step() {
			number, _ := hubdb.ParseKey8(k)
			value, ok := hubdb.Unseal(k, v)
			var r record
			if !ok || cbor.Unmarshal(value, &r) != nil {
				continue // the next start reports it
			}
			e := Entry{Number: number, At: time.Unix(0, r.At).UTC(), By: r.By, From: r.From, Action: r.Action, Device: r.Device, Text: r.Text}
			if len(r.Command) == len(e.Command) {
				e.Command = device.CommandID(r.Command)
			}
			switch old := number <= f.After || e.At.Before(f.Since); {
			case f.OldestFirst && f.Before != 0 && number >= f.Before, old && !f.OldestFirst:
				return nil
			case old:
				continue
			}
			if f.Device == "" || e.Device == f.Device {
				list = append(list, e)
			}
		}
		return nil
	})
	return list, err
}
