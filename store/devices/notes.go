package devices

import (
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// What devices say of themselves, and first uses of tokens, are noted in memory, and reach hub.db with the next checkpoint.

// Note records what a device says of itself in HELLO.
func (r *Registry) Note(id string, hello *device.Hello) {
	d, err := r.lookup(id)
	if err != nil || d.Firmware == hello.Firmware && d.Model == hello.Model && d.Schema == hello.SchemaHash {
		return
	}
	r.note(id, func(d *Device) { d.Firmware, d.Model, d.Schema = hello.Firmware, hello.Model, hello.SchemaHash })
}

// NoteSchema records a schema that a device announced after the last checkpoint.
func (r *Registry) NoteSchema(id string, hash device.Hash) {
	if d, err := r.lookup(id); err == nil && d.Schema != hash {
		r.note(id, func(d *Device) { d.Schema = hash })
	}
}

// note changes a device in memory.
func (r *Registry) note(id string, f func(*Device)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.devices[id]
	if old == nil {
		return
	}
	d := *old
	f(&d)
	r.devices[id] = &d
	r.noted[id] = true
	r.version++
}

// Notes is what a checkpoint writes.
type Notes struct {
	registry *Registry
	devices  []*Device
}

// TakeNotes returns the devices that were changed in memory only. Until Done is called, nobody else changes the registry in hub.db.
func (r *Registry) TakeNotes() *Notes {
	r.writing.Lock()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := &Notes{registry: r}
	for id := range r.noted {
		n.devices = append(n.devices, r.devices[id])
	}
	clear(r.noted)
	return n
}

// Put writes them.
func (n *Notes) Put(tx *bbolt.Tx) error {
	for _, d := range n.devices {
		if err := put(tx, d.ID, d); err != nil {
			return err
		}
	}
	return nil
}

// Done is called with the result of the transaction. After an error they are part of the next checkpoint.
func (n *Notes) Done(err error) {
	r := n.registry
	if err != nil {
		r.mu.Lock()
		for _, d := range n.devices {
			r.noted[d.ID] = true
		}
		r.mu.Unlock()
	}
	r.writing.Unlock()
}
