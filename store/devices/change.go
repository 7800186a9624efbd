package devices

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// edit makes of a device, of which it has a copy, what it is to be; nil for one that is added or removed. It is called again if
// something was noted of the device while the change was being written.
type edit func(d *Device) *Device

// change is devices on their way into hub.db and then into memory.
type change struct {
	edits         map[string]edit
	before, after map[string]*Device
}

// change changes a registered device, or returns ErrNoDevice.
func (r *Registry) change(id string, e edit) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	if _, err := r.lookup(id); err != nil {
		return err
	}
	return r.apply(map[string]edit{id: e})
}

// apply changes devices in hub.db, then in memory, then in the copy; writing is held.
func (r *Registry) apply(edits map[string]edit) error {
	c := r.plan(edits)
	if err := r.db.Update(c.put); err != nil {
		return fmt.Errorf("write the registry: %w", err)
	}
	r.mu.Lock()
	r.publish(c)
	r.mu.Unlock()
	r.writeCopy()
	return nil
}

// plan computes what the devices are going to be; writing is held.
func (r *Registry) plan(edits map[string]edit) *change {
	c := &change{edits: edits, before: make(map[string]*Device, len(edits)), after: make(map[string]*Device, len(edits))}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for id, e := range edits {
		c.before[id] = r.devices[id]
		c.after[id] = e.of(r.devices[id])
	}
	return c
}

func (e edit) of(d *Device) *Device {
	if d == nil {
		return e(nil)
	}
	return e(d.clone())
}

// put writes the change to hub.db.
func (c *change) put(tx *bbolt.Tx) error {
	for _, id := range slices.Sorted(maps.Keys(c.after)) {
		if err := put(tx, id, c.after[id]); err != nil {
			return err
		}
	}
	return nil
}

// publish makes known what is in hub.db now; writing and mu are held.
func (r *Registry) publish(c *change) {
	for id, e := range c.edits {
		present := r.devices[id]
		if present == c.before[id] {
			r.place(id, c.after[id])
			continue
		}
		r.place(id, e.of(present)) // something was noted meanwhile, which hub.db does not have
		if r.devices[id] != nil {
			r.noted[id] = true
		}
	}
	r.version++
}

func put(tx *bbolt.Tx, id string, d *Device) error {
	if d == nil {
		return tx.Bucket(hubdb.BucketDevices).Delete([]byte(id))
	}
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return hubdb.Put(tx.Bucket(hubdb.BucketDevices), []byte(id), value)
}
