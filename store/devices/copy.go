package devices

import (
	"fmt"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// copyName is the copy of the devices beside hub.db, so that a damaged hub.db does not lock every device out.
const copyName = "devices.json"

// Restore is called once, after Open: what hub.db may lack is restored from the copy, and then the copy is made what hub.db is.
// announced are schemas that devices announced later than what the registry knows.
func (r *Registry) Restore(announced map[string]device.Hash) {
	if r.db.Fresh() || r.db.Reverted() || r.db.DamagedIn(hubdb.BucketDevices) {
		restored, bad, err := r.restore(r.db.Reverted())
		r.copy.NoteRestored(restored, bad, "", err)
	}
	for id, hash := range announced {
		r.NoteSchema(id, hash)
	}
	r.writeCopy()
}

// restore takes the devices from the copy that hub.db does not have, or, if the copy is newer, not like this. It returns how many,
// and how many more the copy can't tell any more.
func (r *Registry) restore(newer bool) (restored, bad int, err error) {
	var missing []*Device
	bad, err = r.copy.Read(func(record []byte) error {
		d, err := parse(record)
		if err == nil && (r.devices[d.ID] == nil || newer && !r.devices[d.ID].sameTokens(d)) {
			missing = append(missing, d)
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read %s: %w", copyName, err)
	}
	for _, d := range missing {
		r.place(d.ID, d)
	}
	return len(missing), bad, r.db.Update(func(tx *bbolt.Tx) error {
		for _, d := range missing {
			if err := put(tx, d.ID, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// sameTokens tells whether the same tokens admit d and o.
func (d *Device) sameTokens(o *Device) bool {
	same := func(a, b Token) bool { return a.Hash == b.Hash }
	return d.Revoked == o.Revoked && slices.EqualFunc(d.Tokens, o.Tokens, same)
}

// writeCopy writes all devices to the copy; writing is held, or nobody else has the registry yet.
func (r *Registry) writeCopy() {
	devices := r.sorted()
	records := make([]any, len(devices))
	for i, d := range devices {
		records[i] = d
	}
	r.copy.Write(records)
}

// RetryCopy writes the copy if that has failed before.
func (r *Registry) RetryCopy() {
	r.writing.Lock()
	defer r.writing.Unlock()
	if r.copy.Stale() {
		r.writeCopy()
	}
}
