package store

import "errors"

// RemoveDevice forgets the device with its tokens, commands, books and local readings. Run must be running.
func (s *Store) RemoveDevice(id string) error {
	if err := s.Devices.Remove(id); err != nil {
		return err
	}
	// The device is out already: whatever fails from here on, the rest is done all the same.
	err := s.Commands.Remove(id)
	s.Ledger.Remove(id)
	return errors.Join(err, s.Ledger.Checkpoint())
}
