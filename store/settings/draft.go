package settings

import (
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// of returns the settings of a device as the change being made has them; mu is held.
func (s *Settings) of(deviceID string) byChannel {
	if d, ok := s.draft[deviceID]; ok {
		return d
	}
	return s.devices[deviceID]
}

// touch returns the settings of a device, to be changed; mu is held.
func (s *Settings) touch(deviceID string) byChannel {
	if _, ok := s.draft[deviceID]; !ok {
		d := maps.Clone(s.devices[deviceID])
		if d == nil {
			d = byChannel{}
		}
		s.draft[deviceID] = d
	}
	return s.draft[deviceID]
}

func (s *Settings) get(deviceID, channel string) *Setting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of(deviceID)[channel]
}

// list returns the settings of a device, by channel name.
func (s *Settings) list(deviceID string) (list []*Setting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.of(deviceID)
	for _, channel := range slices.Sorted(maps.Keys(known)) {
		list = append(list, known[channel])
	}
	return list
}

// replace puts a setting in place of what it was. That alone is in memory only.
func (s *Settings) replace(next *Setting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touch(next.Device)[next.Channel] = next
}

// save has a setting written, and watchers called.
func (s *Settings) save(c *commands.Change, next *Setting) {
	s.changed[next.Device] = true
	s.events = append(s.events, *next)
	c.Extended()
}

// note has a setting written, watchers called, and the change entered in the audit trail.
func (s *Settings) note(c *commands.Change, next *Setting, by, from, text string) {
	s.save(c, next)
	c.Audit(audit.Entry{By: by, From: from, Action: "setting " + string(next.Status), Device: next.Device, Text: next.Channel + " " + text})
}

// clockMoved has times follow the clock.
func (s *Settings) clockMoved(c *commands.Change, by time.Duration) {
	s.mu.Lock()
	ids := make(map[string]bool, len(s.devices))
	for id := range s.devices {
		ids[id] = true
	}
	for id := range s.draft {
		ids[id] = true
	}
	s.mu.Unlock()
	for id := range ids {
		for _, old := range s.list(id) {
			next := *old
			next.Set, next.Since = wallclock.Shift(next.Set, by), wallclock.Shift(next.Since, by)
			next.ReportedAt, next.next = wallclock.Shift(next.ReportedAt, by), wallclock.Shift(next.next, by)
			s.replace(&next)
			s.save(c, &next)
		}
	}
}

// write records the settings of the devices for which they have changed.
func (s *Settings) write(tx *bbolt.Tx) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := tx.Bucket(hubdb.BucketDesired)
	for id := range s.changed {
		known := s.of(id)
		if len(known) == 0 {
			if err := b.Delete([]byte(id)); err != nil {
				return err
			}
			continue
		}
		if err := hubdb.Put(b, []byte(id), known.encode()); err != nil {
			return err
		}
	}
	return nil
}

// done makes known what is on disk now, or drops it.
func (s *Settings) done(onDisk bool, by time.Duration) {
	s.mu.Lock()
	if onDisk {
		for id, d := range s.draft {
			if s.devices[id] = d; len(d) == 0 {
				delete(s.devices, id)
			}
		}
		for _, known := range s.newest { // by is 0 mostly
			for channel, r := range known {
				r.Time = r.Time.Add(by)
				known[channel] = r
			}
		}
	}
	clear(s.draft)
	s.mu.Unlock()
	events := s.events
	s.events = nil
	clear(s.changed)
	if onDisk {
		for i := range events {
			s.watchers.Notify(events[i])
		}
	}
}
