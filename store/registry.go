package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/names"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	defaultKind   = "telemetry"
	maxLabels     = 16
	maxLabelValue = 128 // bytes

	// registryCopy is a copy of the devices beside hub.db, so that a damaged hub.db does not lock every device out.
	registryCopy = "devices.json"
)

// Device is a registered device.
type Device struct {
	ID       string            `json:"id"`
	Kind     string            `json:"kind"` // measurement name of its readings
	Labels   map[string]string `json:"labels,omitempty"`
	Created  time.Time         `json:"created"`
	Revoked  bool              `json:"revoked"`
	Tokens   []Token           `json:"tokens,omitempty"` // at most two; the newest last
	Firmware string            `json:"firmware,omitempty"`
	Model    string            `json:"model,omitempty"`
	Schema   device.Hash       `json:"schema,omitzero"` // hash of the schema last announced
}

// NewDevice is a device to be registered.
type NewDevice struct {
	ID     string            `json:"id"`               // letters, digits, ".", "_", "-"; at most device.MaxName
	Kind   string            `json:"kind,omitempty"`   // likewise; default "telemetry"
	Labels map[string]string `json:"labels,omitempty"` // names likewise, values printable
}

// registry is the devices, in RAM and in hub.db.
type registry struct {
	db     *hubdb.DB
	store  *Store
	clock  *wallclock.View // what times of tokens are by; moved with them
	backup *hubdb.Copy     // guarded by writing

	// writing is held, and taken before mu, while devices are written to hub.db: what a checkpoint writes of them must not
	// be older than what another wrote meanwhile.
	writing sync.Mutex

	mu      sync.RWMutex
	devices map[string]*Device
	tokens  map[secrets.Hash]string // hash → device id; those of revoked devices too
	noted   map[string]bool         // devices changed in RAM only

	clockRecorded bool   // hub.db knows what times are by
	version       uint64 // counts changes
}

// load reads the devices.
func (r *registry) load(s *Store) error {
	r.db, r.store, r.clock = s.db, s, s.clock.View()
	r.backup = hubdb.NewCopy(filepath.Join(s.opts.Dir, registryCopy), "devices", s.Alarms)
	r.devices, r.tokens, r.noted = map[string]*Device{}, map[secrets.Hash]string{}, map[string]bool{}
	return r.db.View(func(tx *bbolt.Tx) error {
		r.clockRecorded = s.db.LoadClock(tx, hubdb.KeyTokensClock, s.clock, r.clock)
		return s.db.Each(tx, hubdb.BucketDevices, func(k, v []byte) error {
			d, err := readDevice(v)
			if err == nil && d.ID != string(k) {
				err = hubdb.ErrRecord
			}
			if err == nil {
				r.index(d)
			}
			return err
		})
	})
}

func readDevice(value []byte) (*Device, error) {
	d := new(Device)
	if err := json.Unmarshal(value, d); err != nil {
		return nil, err
	}
	return d, names.Check("device id", d.ID)
}

// restoreAll restores from the copy what hub.db may lack, and then makes the copy what hub.db is.
func (r *registry) restoreAll(announced map[string]device.Hash) {
	if r.db.Fresh() || r.db.Reverted() || r.db.DamagedIn(hubdb.BucketDevices) {
		restored, bad, err := r.restore(r.db.Reverted())
		r.backup.NoteRestored(restored, bad, "", err)
		r.correctSchemas(announced)
	}
	r.copy()
}

// restore takes the devices from the copy that hub.db does not have, or, if the copy is newer, not like this. It returns how many,
// and how many more the copy can't tell any more.
func (r *registry) restore(newer bool) (restored, bad int, err error) {
	var missing []*Device
	bad, err = r.backup.Read(func(record []byte) error {
		d, err := readDevice(record)
		if err == nil && (r.devices[d.ID] == nil || newer && !r.devices[d.ID].admitsLike(d)) {
			missing = append(missing, d)
		}
		return err
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read %s: %w", registryCopy, err)
	}
	for _, d := range missing {
		if old := r.devices[d.ID]; old != nil {
			for _, t := range old.Tokens {
				delete(r.tokens, t.Hash)
			}
		}
		r.index(d)
	}
	return len(missing), bad, r.db.Update(func(tx *bbolt.Tx) error {
		for _, d := range missing {
			if err := putDevice(tx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

// admitsLike tells whether the same tokens are good for d and for o.
func (d *Device) admitsLike(o *Device) bool {
	same := func(a, b Token) bool { return a.Hash == b.Hash }
	return d.Revoked == o.Revoked && slices.EqualFunc(d.Tokens, o.Tokens, same)
}

// index makes d known in RAM; mu is held, or nobody else has the registry yet.
func (r *registry) index(d *Device) {
	r.devices[d.ID] = d
	for _, t := range d.Tokens {
		r.tokens[t.Hash] = d.ID
	}
}

// lock is for whoever calls change.
func (r *registry) lock() {
	r.writing.Lock()
	r.mu.Lock()
}

func (r *registry) unlock() {
	r.mu.Unlock()
	r.writing.Unlock()
}

// change replaces devices in hub.db, then in RAM, then in the copy. A nil device is removed.
func (r *registry) change(changed map[string]*Device) error {
	return r.write(changed, func(*bbolt.Tx) error { return nil })
}

// write is change with more to be written in the same transaction.
func (r *registry) write(changed map[string]*Device, more func(*bbolt.Tx) error) error {
	err := r.db.Update(func(tx *bbolt.Tx) error {
		for _, id := range slices.Sorted(maps.Keys(changed)) {
			var err error
			if d := changed[id]; d == nil {
				err = tx.Bucket(hubdb.BucketDevices).Delete([]byte(id))
			} else {
				err = putDevice(tx, d)
			}
			if err != nil {
				return err
			}
		}
		return more(tx)
	})
	if err != nil {
		return fmt.Errorf("write the registry: %w", err)
	}
	if len(changed) == 0 {
		return nil
	}
	r.version++
	for id, d := range changed {
		if old := r.devices[id]; old != nil {
			for _, t := range old.Tokens {
				delete(r.tokens, t.Hash)
			}
		}
		delete(r.devices, id)
		delete(r.noted, id)
		if d != nil {
			r.index(d)
		}
	}
	r.copy()
	return nil
}

// copy writes all devices to the file beside hub.db; writing is held, and mu.
func (r *registry) copy() {
	devices := make([]any, 0, len(r.devices))
	for _, id := range slices.Sorted(maps.Keys(r.devices)) {
		devices = append(devices, r.devices[id])
	}
	r.backup.Write(devices)
}

// copyAgain writes the copy if that has failed before.
func (r *registry) copyAgain() {
	r.lock()
	defer r.unlock()
	if r.backup.Stale() {
		r.copy()
	}
}

func putDevice(tx *bbolt.Tx, d *Device) error {
	value, err := json.Marshal(d)
	if err != nil {
		return err
	}
	return hubdb.Put(tx.Bucket(hubdb.BucketDevices), []byte(d.ID), value)
}

// clone copies d so that the copy's tokens can be changed.
func (d *Device) clone() *Device {
	c := *d
	c.Tokens = slices.Clone(d.Tokens)
	return &c
}

// Device returns a registered device or ErrNoDevice.
func (s *Store) Device(id string) (Device, error) {
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	d := s.registry.devices[id]
	if d == nil {
		return Device{}, fmt.Errorf("%w: %s", ErrNoDevice, id)
	}
	return *d.clone(), nil
}

// RegistryVersion is another number whenever Devices may return something else than before. First uses of tokens don't
// change it.
func (s *Store) RegistryVersion() uint64 {
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	return s.registry.version
}

// Devices returns all registered devices, sorted by id.
func (s *Store) Devices() []Device {
	s.registry.mu.RLock()
	defer s.registry.mu.RUnlock()
	list := make([]Device, 0, len(s.registry.devices))
	for _, id := range slices.Sorted(maps.Keys(s.registry.devices)) {
		list = append(list, *s.registry.devices[id].clone())
	}
	return list
}

// AddDevices registers all of them or, on an error, none. Errors wrap ErrExists or names.ErrBad.
func (s *Store) AddDevices(devices []NewDevice) ([]Credential, error) {
	s.registry.lock()
	defer s.registry.unlock()
	changed := make(map[string]*Device, len(devices))
	credentials := make([]Credential, 0, len(devices))
	for _, n := range devices {
		if n.Kind == "" {
			n.Kind = defaultKind
		}
		if err := n.check(); err != nil {
			return nil, err
		}
		if s.registry.devices[n.ID] != nil || changed[n.ID] != nil {
			return nil, fmt.Errorf("%w: %s", ErrExists, n.ID)
		}
		token, t := newToken(s.now())
		changed[n.ID] = &Device{
			ID: n.ID, Kind: n.Kind, Labels: maps.Clone(n.Labels), Created: s.now().UTC(), Tokens: []Token{t},
		}
		credentials = append(credentials, Credential{Device: n.ID, Token: token})
	}
	if err := s.registry.change(changed); err != nil {
		return nil, err
	}
	return credentials, nil
}

// ChangeDevice lets change change the kind and the labels of a device. Errors wrap ErrNoDevice or ErrBadName.
func (s *Store) ChangeDevice(id string, change func(*NewDevice)) error {
	s.registry.lock()
	defer s.registry.unlock()
	old := s.registry.devices[id]
	if old == nil {
		return fmt.Errorf("%w: %s", ErrNoDevice, id)
	}
	n := NewDevice{ID: id, Kind: old.Kind, Labels: maps.Clone(old.Labels)}
	change(&n)
	n.ID = id
	if err := n.check(); err != nil {
		return err
	}
	d := old.clone()
	d.Kind, d.Labels = n.Kind, n.Labels
	return s.registry.change(map[string]*Device{id: d})
}

// RemoveDevice forgets the device with its tokens, books and local readings. Run must be running.
func (s *Store) RemoveDevice(id string) error {
	s.registry.lock()
	if s.registry.devices[id] == nil {
		s.registry.unlock()
		return fmt.Errorf("%w: %s", ErrNoDevice, id)
	}
	err := s.registry.change(map[string]*Device{id: nil})
	s.registry.unlock()
	if err != nil {
		return err
	}
	// The device is out already: whatever fails from here on, the rest is done all the same.
	err = s.Commands.Remove(id)
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

// NoteDevice records what a device says of itself in HELLO. It reaches hub.db with the next checkpoint.
func (s *Store) NoteDevice(id string, hello *device.Hello) {
	r := &s.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.devices[id]
	if d == nil || d.Firmware == hello.Firmware && d.Model == hello.Model && d.Schema == hello.SchemaHash {
		return
	}
	d = d.clone()
	d.Firmware, d.Model, d.Schema = hello.Firmware, hello.Model, hello.SchemaHash
	r.devices[id] = d
	r.noted[id] = true
	r.version++
}

// correctSchemas sets the schemas that devices have announced.
func (r *registry) correctSchemas(announced map[string]device.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, hash := range announced {
		if d := r.devices[id]; d != nil && d.Schema != hash {
			d = d.clone()
			d.Schema = hash
			r.devices[id] = d
			r.noted[id] = true
		}
	}
}

// noteSchema records the schema of a frame found in the journal: HELLO may have announced it after the last checkpoint.
func (r *registry) noteSchema(id string, hash device.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.devices[id]
	if d == nil || d.Schema == hash {
		return
	}
	d = d.clone()
	d.Schema = hash
	r.devices[id] = d
	r.noted[id] = true
	r.version++
}

// takeNotes returns the devices that were changed in RAM only.
func (r *registry) takeNotes() []Device {
	r.mu.Lock()
	defer r.mu.Unlock()
	notes := make([]Device, 0, len(r.noted))
	for id := range r.noted {
		notes = append(notes, *r.devices[id].clone())
	}
	clear(r.noted)
	return notes
}

func (r *registry) returnNotes(notes []Device) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range notes {
		if r.devices[notes[i].ID] != nil {
			r.noted[notes[i].ID] = true
		}
	}
}

func (n *NewDevice) check() error {
	if err := names.Check("device id", n.ID); err != nil {
		return err
	}
	if err := names.Check("kind", n.Kind); err != nil {
		return err
	}
	if len(n.Labels) > maxLabels {
		return fmt.Errorf("%w: %d labels, at most %d are kept", names.ErrBad, len(n.Labels), maxLabels)
	}
	for k, v := range n.Labels {
		if err := names.Check("label", k); err != nil {
			return err
		}
		if v == "" || len(v) > maxLabelValue || !text.Writable(v) {
			return fmt.Errorf("%w: label %s: a value has 1 to %d bytes of printable text", names.ErrBad, k, maxLabelValue)
		}
	}
	return nil
}
