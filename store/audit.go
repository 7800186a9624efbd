package store

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
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

// trail is which entries there are.
type trail struct{ first, next uint64 }

func (t *trail) load(tx *bbolt.Tx) error {
	t.first, t.next = 1, 1
	c := tx.Bucket(bucketAudit).Cursor()
	if k, _ := c.First(); k != nil {
		t.first, _ = parseKey8(k)
	}
	if k, _ := c.Last(); k != nil {
		last, _ := parseKey8(k)
		t.next = last + 1
	}
	return nil
}

// append enters entries and drops the oldest above the bound.
func (t *trail) append(tx *bbolt.Tx, entries []AuditEntry) error {
	b := tx.Bucket(bucketAudit)
	for i := range entries {
		e := &entries[i]
		r := auditRecord{At: e.At.UnixNano(), By: e.By, From: e.From, Action: e.Action, Device: e.Device, Text: e.Text}
		if e.Command != (device.CommandID{}) {
			r.Command = e.Command[:]
		}
		if err := put(b, key8(t.next), encode(&r)); err != nil {
			return err
		}
		t.next++
	}
	if t.next-t.first < maxAudit+auditStep {
		return nil
	}
	for ; t.next-t.first > maxAudit; t.first++ {
		if err := b.Delete(key8(t.first)); err != nil {
			return err
		}
	}
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
}

// AuditTrail returns entries, the newest first.
func (s *Store) AuditTrail(f AuditFilter) ([]AuditEntry, error) {
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, maxCommandsPage)
	list := []AuditEntry{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketAudit).Cursor()
		for k, v := lastBefore(c, f.Before); k != nil && len(list) < f.Limit; k, v = c.Prev() {
			number, _ := parseKey8(k)
			value, _ := unseal(v)
			var r auditRecord
			if err := cbor.Unmarshal(value, &r); err != nil {
				return fmt.Errorf("audit entry %d in hub.db: %w", number, err)
			}
			e := AuditEntry{Number: number, At: moment(r.At), By: r.By, From: r.From, Action: r.Action, Device: r.Device, Text: r.Text}
			if len(r.Command) == len(e.Command) {
				e.Command = device.CommandID(r.Command)
			}
			if number <= f.After || e.At.Before(f.Since) {
				break
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
	if k, _ := c.Seek(key8(number)); k == nil {
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
