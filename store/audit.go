package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// The audit trail holds at most this many entries; then the oldest go, auditStep at a time.
const (
	maxAudit  = 50_000
	auditStep = 256

	maxAuditText = 512 // bytes
)

// AuditEntry is one thing that somebody did through the hub, or that came of it. Nothing of the hub changes or drops an entry but
// the bound of the trail.
type AuditEntry struct {
	Number  uint64           `json:"number"` // counts the entries
	At      time.Time        `json:"at"`
	By      string           `json:"by"`             // a person, an API key, the device, or the hub itself
	From    string           `json:"from,omitempty"` // address, or the like
	Action  string           `json:"action"`         // "command sent", "device added" and the like: the subject and what became of it
	Device  string           `json:"device,omitempty"`
	Command device.CommandID `json:"command,omitzero"`
	Text    string           `json:"text,omitempty"`
}

// auditRecord is an entry in hub.db.
type auditRecord struct {
	At      int64  `cbor:"1,keyasint"` // ns since 1970
	By      string `cbor:"2,keyasint,omitempty"`
	From    string `cbor:"3,keyasint,omitempty"`
	Action  string `cbor:"4,keyasint"`
	Device  string `cbor:"5,keyasint,omitempty"`
	Command []byte `cbor:"6,keyasint,omitempty"`
	Text    string `cbor:"7,keyasint,omitempty"`
}

// trail is how many entries there are, and the number of the next one.
type trail struct {
	count int
	next  uint64
}

func (t *trail) load(s *Store, tx *bbolt.Tx) error {
	*t = trail{next: 1}
	return s.db.Each(tx, hubdb.BucketAudit, func(k, v []byte) error {
		number, ok := hubdb.ParseKey8(k)
		var r auditRecord
		if err := cbor.Unmarshal(v, &r); err != nil || !ok {
			return errors.Join(err, hubdb.ErrRecord)
		}
		t.count++
		t.next = number + 1
		return nil
	})
}

// append enters entries and drops the oldest above the bound.
func (t *trail) append(tx *bbolt.Tx, entries []AuditEntry) error {
	b := tx.Bucket(hubdb.BucketAudit)
	for i := range entries {
		e := &entries[i]
		r := auditRecord{At: e.At.UnixNano(), By: e.By, From: e.From, Action: e.Action, Device: e.Device, Text: e.Text}
		if e.Command != (device.CommandID{}) {
			r.Command = e.Command[:]
		}
		if err := hubdb.Put(b, hubdb.Key8(t.next), hubdb.Encode(&r)); err != nil {
			return err
		}
		t.next++
		t.count++
	}
	if t.count < maxAudit+auditStep {
		return nil
	}
	return t.drop(b, t.count-maxAudit)
}

// drop deletes the n oldest entries.
func (t *trail) drop(b *bbolt.Bucket, n int) error {
	keys := make([][]byte, 0, n)
	c := b.Cursor()
	for k, _ := c.First(); k != nil && len(keys) < n; k, _ = c.Next() {
		keys = append(keys, slices.Clone(k))
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	t.count -= len(keys)
	return nil
}

// enter adds an entry to the change.
func (ch *commandChange) enter(e AuditEntry) {
	e.At = ch.now.UTC()
	e.By, e.From, e.Text = printable(e.By), printable(e.From), strings.ToValidUTF8(e.Text[:min(len(e.Text), maxAuditText)], "")
	ch.audit = append(ch.audit, e)
}

// Audit enters what somebody did; it is on disk when Audit returns. At and Number are filled in. If it fails, there is an alarm, too.
func (s *Store) Audit(entries ...AuditEntry) error {
	return s.commands.do(func(ch *commandChange) error {
		for _, e := range entries {
			ch.enter(e)
		}
		return nil
	})
}

// AuditFilter selects entries. Zero values select all.
type AuditFilter struct {
	Device string
	Since  time.Time
	After  uint64 // higher numbers only
	Before uint64 // lower numbers only: the page behind another
	Limit  int    // 0: 100; at most 1000

	OldestFirst bool // the oldest that are selected, in their order
}

// AuditTrail returns entries, the newest first unless the filter says otherwise.
func (s *Store) AuditTrail(f AuditFilter) ([]AuditEntry, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, maxCommandsPage)
	list := []AuditEntry{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(hubdb.BucketAudit).Cursor()
		k, v := lastBefore(c, f.Before)
		step := c.Prev
		if f.OldestFirst {
			k, v = c.Seek(hubdb.Key8(f.After + 1))
			step = c.Next
		}
		for ; k != nil && len(list) < f.Limit; k, v = step() {
			number, _ := hubdb.ParseKey8(k)
			value, ok := hubdb.Unseal(k, v)
			var r auditRecord
			if !ok || cbor.Unmarshal(value, &r) != nil {
				continue // the next start reports it
			}
			e := AuditEntry{Number: number, At: moment(r.At), By: r.By, From: r.From, Action: r.Action, Device: r.Device, Text: r.Text}
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

// lastBefore moves a cursor to the last key below number, or to the last of all for 0.
func lastBefore(c *bbolt.Cursor, number uint64) (k, v []byte) {
	if number == 0 {
		return c.Last()
	}
	if k, _ := c.Seek(hubdb.Key8(number)); k == nil {
		return c.Last()
	}
	return c.Prev()
}

// argsText is the arguments of a command as text: (celsius=22, ramp=2.5).
func argsText(args map[string]any) string {
	if len(args) == 0 {
		return ""
	}
	list := make([]string, 0, len(args))
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if text, ok := args[name].(string); ok {
			list = append(list, fmt.Sprintf("%s=%q", name, text))
		} else {
			list = append(list, fmt.Sprintf("%s=%v", name, args[name]))
		}
	}
	return " (" + strings.Join(list, ", ") + ")"
}
