// Package devices is the registry: the devices that may connect, and their tokens.
package devices

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
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/names"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Errors a caller decides on.
var (
	ErrNoDevice     = errors.New("no such device")
	ErrExists       = errors.New("the device exists already")
	ErrUnknownToken = errors.New("unknown token")
	ErrRevoked      = errors.New("the device is revoked")
)

const (
	defaultKind   = "telemetry"
	maxLabels     = 16
	maxLabelValue = 128 // bytes
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

// Registry is the devices, in memory and in hub.db. Its methods are safe for concurrent use.
type Registry struct {
	// static
	db    *hubdb.DB
	clock *wallclock.Clock
	times *wallclock.View // what times of tokens are by; moved with them, under mu

	// writing is held, and taken before mu, by whoever writes devices to hub.db, until they are in memory, too: what a checkpoint
	// writes must not be older than what another wrote meanwhile.
	writing       sync.Mutex
	copy          *hubdb.Copy // guarded by writing
	clockRecorded bool        // hub.db knows what times are by; guarded by writing

	// mu is never held while something is written: Authenticate must not wait for a disk.
	mu      sync.RWMutex
	devices map[string]*Device      // replaced, never changed; added and removed under writing only
	tokens  map[secrets.Hash]string // hash → device id; those of revoked devices too
	noted   map[string]bool         // devices changed in memory only
	version uint64                  // counts changes
}

// Open reads the registry in db. Its copy is in dir.
func Open(dir string, db *hubdb.DB, clock *wallclock.Clock, alarms *alarms.List) (*Registry, error) {
	r := &Registry{
		db: db, clock: clock, times: clock.View(), copy: hubdb.NewCopy(filepath.Join(dir, copyName), "devices", alarms),
		devices: map[string]*Device{}, tokens: map[secrets.Hash]string{}, noted: map[string]bool{},
	}
	return r, r.db.View(func(tx *bbolt.Tx) error {
		r.clockRecorded = r.db.LoadClock(tx, hubdb.KeyTokensClock, r.clock, r.times)
		return r.db.Each(tx, hubdb.BucketDevices, func(k, v []byte) error {
			d, err := parse(v)
			if err == nil && d.ID != string(k) {
				err = hubdb.ErrRecord
			}
			if err == nil {
				r.place(d.ID, d)
			}
			return err
		})
	})
}

func parse(value []byte) (*Device, error) {
	d := new(Device)
	if err := json.Unmarshal(value, d); err != nil {
		return nil, err
	}
	return d, names.Check("device id", d.ID)
}

// place replaces a device in memory, nil removes it; mu is held, or nobody else has the registry yet.
func (r *Registry) place(id string, d *Device) {
	if old := r.devices[id]; old != nil {
		for _, t := range old.Tokens {
			delete(r.tokens, t.Hash)
		}
	}
	delete(r.noted, id)
	if d == nil {
		delete(r.devices, id)
		return
	}
	r.devices[id] = d
	for _, t := range d.Tokens {
		r.tokens[t.Hash] = id
	}
}

// clone copies d so that the copy's tokens can be changed.
func (d *Device) clone() *Device {
	c := *d
	c.Tokens = slices.Clone(d.Tokens)
	return &c
}

// lookup returns a device as it is kept, which must not be changed, or ErrNoDevice.
func (r *Registry) lookup(id string) (*Device, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if d := r.devices[id]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoDevice, id)
}

// Get returns a registered device or ErrNoDevice. Its labels and tokens must not be changed.
func (r *Registry) Get(id string) (Device, error) {
	d, err := r.lookup(id)
	if err != nil {
		return Device{}, err
	}
	return *d, nil
}

// Version is another number whenever All may return something else than before. First uses of tokens don't change it.
func (r *Registry) Version() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.version
}

// Len is how many devices are registered.
func (r *Registry) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.devices)
}

// All returns all registered devices, sorted by id. Their labels and tokens must not be changed.
func (r *Registry) All() []Device {
	kept := r.sorted()
	list := make([]Device, len(kept))
	for i, d := range kept {
		list[i] = *d
	}
	return list
}

// sorted returns all devices as they are kept, sorted by id.
func (r *Registry) sorted() []*Device {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := make([]*Device, 0, len(r.devices))
	for _, id := range slices.Sorted(maps.Keys(r.devices)) {
		list = append(list, r.devices[id])
	}
	return list
}

// Schemas returns the schemas that devices announced last.
func (r *Registry) Schemas() map[device.Hash]bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	used := make(map[device.Hash]bool, len(r.devices))
	for _, d := range r.devices {
		used[d.Schema] = true
	}
	return used
}

// Add registers all of them or, on an error, none. Errors wrap ErrExists or names.ErrBad.
func (r *Registry) Add(devices []NewDevice) ([]Credential, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	edits := make(map[string]edit, len(devices))
	credentials := make([]Credential, 0, len(devices))
	for _, n := range devices {
		if n.Kind == "" {
			n.Kind = defaultKind
		}
		if err := n.check(); err != nil {
			return nil, err
		}
		if _, err := r.lookup(n.ID); err == nil || edits[n.ID] != nil {
			return nil, fmt.Errorf("%w: %s", ErrExists, n.ID)
		}
		now := r.clock.Now()
		token, t := newToken(now)
		d := &Device{ID: n.ID, Kind: n.Kind, Labels: maps.Clone(n.Labels), Created: now.UTC(), Tokens: []Token{t}}
		edits[n.ID] = func(*Device) *Device { return d }
		credentials = append(credentials, Credential{Device: n.ID, Token: token})
	}
	if err := r.apply(edits); err != nil {
		return nil, err
	}
	return credentials, nil
}

// Change calls f to change the kind and the labels of a device. Errors wrap ErrNoDevice or names.ErrBad.
func (r *Registry) Change(id string, f func(*NewDevice)) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	old, err := r.lookup(id)
	if err != nil {
		return err
	}
	n := NewDevice{ID: id, Kind: old.Kind, Labels: maps.Clone(old.Labels)}
	f(&n)
	n.ID = id
	if err := n.check(); err != nil {
		return err
	}
	return r.apply(map[string]edit{id: func(d *Device) *Device {
		d.Kind, d.Labels = n.Kind, n.Labels
		return d
	}})
}

// Remove takes a device out of the registry, or returns ErrNoDevice. What else the hub has of the device stays.
func (r *Registry) Remove(id string) error {
	return r.change(id, func(*Device) *Device { return nil })
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
