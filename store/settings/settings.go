// Package settings keeps the desired values of writable channels beside what the devices report, and sends them again until they
// agree. A desired value travels as a command, and is recorded in the same transaction as what becomes of that.
package settings

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Status says whether a device has what it is to have.
type Status string

const (
	InSync  Status = "in_sync" // the newest reading is the desired value
	Pending Status = "pending" // it is not, and the hub sends the desired value whenever it can
	Refused Status = "refused" // the device has rejected the desired value: it is not sent again
	Cleared Status = "cleared" // there is no desired value any more: only watchers see it
)

// Setting is the desired value of a writable channel beside what the device reports.
type Setting struct {
	Device     string    `json:"device"`
	Channel    string    `json:"channel"`
	Desired    any       `json:"desired"` // bool, int64, float64 or string; numbers are not scaled
	By         string    `json:"by"`
	From       string    `json:"from,omitempty"`
	Set        time.Time `json:"set"` // when it was desired
	Status     Status    `json:"status"`
	Since      time.Time `json:"since"`              // when the status began
	Reason     string    `json:"reason,omitempty"`   // why it is not in sync, as far as is known
	Reported   any       `json:"reported,omitempty"` // as of the status, or newer; nil: nothing yet
	ReportedAt time.Time `json:"reported_at,omitzero"`

	tries int       // of sending it, in a row; in memory only
	next  time.Time // not to be sent before; in memory only
}

// Settings are the desired values of all devices. Its methods are safe for concurrent use.
//
// Every change is one of the book of commands, which makes them one at a time. What a change makes of the settings of a device is
// a draft, which nobody sees, until it is on disk. The lock is held only to look at something or to replace it: it is taken within
// changes, and a change is never made while it is held.
type Settings struct {
	// static
	book     *commands.Book
	clock    *wallclock.Clock
	watchers notify.List[Setting]

	// owned by the change that is being made
	changed map[string]bool // devices whose settings are to be written
	events  []Setting       // that changed, in order

	mu      sync.Mutex
	devices map[string]byChannel           // what is on disk
	draft   map[string]byChannel           // of the devices that the change being made touches
	newest  map[string]map[string]Reported // of each device, by channel, since the start; see Report
}

// byChannel are the settings of a device. They are never changed, only replaced.
type byChannel map[string]*Setting

// Open reads the desired values of hub.db.
func Open(db *hubdb.DB, clock *wallclock.Clock, book *commands.Book) (*Settings, error) {
	s := &Settings{
		book: book, clock: clock, changed: map[string]bool{}, devices: map[string]byChannel{}, draft: map[string]byChannel{},
		newest: map[string]map[string]Reported{},
	}
	book.Extend(commands.Extension{
		Deliver: s.deliver, Changed: s.commandChanged, Moved: s.clockMoved, Removed: s.removed, Write: s.write, Done: s.done,
	})
	return s, db.View(func(tx *bbolt.Tx) error {
		return db.Each(tx, hubdb.BucketDesired, func(k, v []byte) error {
			set, err := decode(string(k), v)
			if err == nil {
				s.devices[string(k)] = set
			}
			return err
		})
	})
}

// Set gives a writable channel a desired value, which is on disk when it returns. The hub sends it to the device now or when that
// connects, and again whenever the device reports another value. Errors are those of commands.Book.Send.
func (s *Settings) Set(deviceID, channel string, value any, by, from string) (Setting, error) {
	var result Setting
	err := s.book.Do(func(c *commands.Change) error { // all of it: once a device is removed, nothing is to be desired of it
		ch, err := s.writable(deviceID, channel)
		if err != nil {
			return err
		}
		value, err := check(ch, value)
		if err != nil {
			return err
		}
		next := &Setting{
			Device: deviceID, Channel: channel, Desired: value, By: audit.Printable(by), From: audit.Printable(from), Set: c.Now().UTC(),
			Status: Pending, Since: c.Now().UTC(),
		}
		s.begin(next)
		s.note(c, next, by, from, fmt.Sprintf("desired %v", value))
		result = *next
		return nil
	})
	return result, err
}

// begin puts a new desired value in place, with what the device has reported so far.
func (s *Settings) begin(next *Setting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.of(next.Device)[next.Channel]; old != nil {
		next.Reported, next.ReportedAt = old.Reported, old.ReportedAt
	}
	if r, ok := s.newest[next.Device][next.Channel]; ok {
		next.Reported, next.ReportedAt = plain(r.Value), r.Time.UTC()
	}
	if next.met() {
		next.Status = InSync
	}
	s.touch(next.Device)[next.Channel] = next
}

// Clear ends the hub's care for a channel: the device keeps what it has.
func (s *Settings) Clear(deviceID, channel, by, from string) error {
	return s.book.Do(func(c *commands.Change) error {
		old := s.get(deviceID, channel)
		if old == nil {
			return &commands.Error{Kind: commands.ErrNone, Text: fmt.Sprintf("%s has no desired value for %q", deviceID, channel)}
		}
		s.drop(c, old, by, from)
		c.Audit(audit.Entry{By: by, From: from, Action: "setting cleared", Device: deviceID, Text: channel})
		for _, queued := range c.Queued(deviceID) {
			if sets(queued, channel) && len(queued.Args) == 1 {
				c.Cancel(queued, by, from, "the desired value was cleared")
			}
		}
		return nil
	})
}

// removed gives up what a device was to be set to that is removed.
func (s *Settings) removed(c *commands.Change, deviceID string) {
	for _, old := range s.list(deviceID) {
		s.drop(c, old, "hub", "")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.newest, deviceID)
}

// drop ends a setting.
func (s *Settings) drop(c *commands.Change, old *Setting, by, from string) {
	s.mu.Lock()
	delete(s.touch(old.Device), old.Channel)
	s.mu.Unlock()
	s.changed[old.Device] = true
	s.events = append(s.events, Setting{
		Device: old.Device, Channel: old.Channel, By: audit.Printable(by), From: audit.Printable(from), Set: c.Now().UTC(),
		Status: Cleared, Since: c.Now().UTC(), Reported: old.Reported, ReportedAt: old.ReportedAt,
	})
	c.Extended()
}

// List returns the desired values of a device, by channel name.
func (s *Settings) List(deviceID string) []Setting {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Setting{}
	known := s.devices[deviceID]
	for _, channel := range slices.Sorted(maps.Keys(known)) {
		list = append(list, *known[channel])
	}
	return list
}

// Watch calls f after every change of a setting but its reported value, when it is on disk, in order. f must be quick and must not
// change commands or settings. stop ends it, and may be called more than once.
func (s *Settings) Watch(f func(Setting)) (stop func()) { return s.watchers.Add(f) }
