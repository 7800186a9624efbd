package store

import (
	"errors"

	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// RemoveDevice forgets the device with its tokens, commands, books and local readings. Run must be running.
func (s *Store) RemoveDevice(id string) error {
	if err := s.Devices.Remove(id); err != nil {
		return err
	}
	// The device is out already: whatever fails from here on, the rest is done all the same.
	err := s.Commands.Remove(id)
	s.mu.Lock()
	s.forget(id)
	b := s.filling
	if b.empty() {
		s.openBatch(b)
	}
	b.append(tail.AppendRemoval(nil, id))
	s.mu.Unlock()
	s.numbering.note(id, "")
	signal(s.work)
	return errors.Join(err, s.Checkpoint())
}

// forget drops the books of a device; mu is held.
func (s *Store) forget(id string) {
	if a := s.accounts[id]; a != nil {
		a.removed = true
		delete(s.accounts, id)
	}
	s.forgotten = append(s.forgotten, id)
	s.Outages.Forget(id)
}
