package commands

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// clock is a wall clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// schema has the commands of the tests' devices.
func schema() *device.Schema {
	low, high := 5.0, 35.0
	return &device.Schema{Commands: []device.CommandSpec{
		{Name: "blink", Idempotent: true},
		{Name: "reboot", Confirm: device.ConfirmTyped},
		{Name: "set_setpoint", Supersedes: true, Idempotent: true, Args: []device.Arg{{Name: "celsius", Type: device.Float64, Unit: "Cel", Min: &low, Max: &high}}},
		{Name: "count", Args: []device.Arg{{Name: "n", Type: device.Int}, {Name: "note", Type: device.String, Optional: true}}},
	}}
}

var errNoDevice = errors.New("no such device")

// opened is a book with what it needs.
type opened struct {
	*Book
	db         *hubdb.DB
	trail      *audit.Trail
	alarms     *alarms.List
	registered map[string]Device
	lookedUp   func() // is called when a device has been looked up; may be nil
}

// open opens a book with devices that have announced the schema.
func open(t testing.TB, dir string, now func() time.Time, devices ...string) *opened {
	t.Helper()
	db, _, err := hubdb.Open(dir, now())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	clock := wallclock.Steady(now)
	o := &opened{db: db, alarms: alarms.New(clock, slog.New(slog.DiscardHandler)), registered: map[string]Device{}}
	if o.trail, err = audit.Open(db, clock, o.alarms); err != nil {
		t.Fatal(err)
	}
	message := device.AppendControl(nil, schema())
	for _, id := range devices {
		o.registered[id] = Device{Schema: schema(), Hash: device.HashSchema(message), Message: message}
	}
	o.Book, err = Open(Deps{DB: db, Clock: clock, Alarms: o.alarms, Device: func(id string) (Device, error) {
		d, ok := o.registered[id]
		if o.lookedUp != nil {
			o.lookedUp()
		}
		if !ok {
			return d, errNoDevice
		}
		return d, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// rig is a book whose time stands still until a test moves it.
type rig struct {
	*opened
	t testing.TB
	*clock
	dir string
}

func newRig(t testing.TB, devices ...string) *rig {
	c := newClock()
	r := &rig{t: t, clock: c, dir: t.TempDir()}
	r.opened = open(t, r.dir, c.now, devices...)
	return r
}

// restart closes and opens the book.
func (r *rig) restart(devices ...string) {
	r.t.Helper()
	if err := r.db.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.opened = open(r.t, r.dir, r.now, devices...)
}

func (r *rig) send(n New) Command {
	r.t.Helper()
	c, err := r.Send(n)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// expire does what Run does by itself.
func (r *rig) expire() {
	r.t.Helper()
	if _, err := r.Expire(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) exchange(d *Delivery, results ...*device.Result) []Command {
	r.t.Helper()
	send, _, err := d.Exchange(results)
	if err != nil {
		r.t.Fatal(err)
	}
	return send
}

func (r *rig) want(id device.CommandID, state State, text string) Command {
	r.t.Helper()
	c, err := r.Get(id)
	if err != nil || c.State != state || !strings.Contains(c.Text, text) {
		r.t.Errorf("%v: %s %q, %v; want %s %q", id, c.State, c.Text, err, state, text)
	}
	return c
}

func names(list []Command) (names []string) {
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}
