package settings

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// schema is what the tests' device has.
var schema = &device.Schema{Channels: []device.Channel{
	{ID: 0, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"},
	{ID: 1, Name: "setpoint", Type: device.Int, Scale: -1, Unit: "Cel", Writable: true},
	{ID: 2, Name: "mode", Type: device.String, Writable: true},
	{ID: 3, Name: "level", Type: device.Int, Writable: true},
	{ID: 4, Name: "gain", Type: device.Float32, Writable: true},
}}

var errNoDevice = errors.New("no such device")

// rig is the settings of device a, whose time stands still until a test moves it.
type rig struct {
	*Settings
	t     testing.TB
	dir   string
	db    *hubdb.DB
	trail *audit.Trail
	at    time.Time
	clock *wallclock.Clock

	removed  bool   // device a is not registered any more
	lookedUp func() // is called when the device has been looked up; may be nil
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, dir: t.TempDir(), at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r.clock = wallclock.Steady(r.now)
	r.open()
	t.Cleanup(func() { _ = r.db.Close() })
	return r
}

func (r *rig) now() time.Time { return r.at }

func (r *rig) pass(d time.Duration) { r.at = r.at.Add(d) }

func (r *rig) open() {
	r.t.Helper()
	var err error
	if r.db, _, err = hubdb.Open(r.dir, r.at); err != nil {
		r.t.Fatal(err)
	}
	active := alarms.New(r.clock, slog.New(slog.DiscardHandler))
	if r.trail, err = audit.Open(r.db, r.clock, active); err != nil {
		r.t.Fatal(err)
	}
	message := device.AppendControl(nil, schema)
	book, err := commands.Open(commands.Deps{DB: r.db, Clock: r.clock, Alarms: active, Device: func(id string) (commands.Device, error) {
		if id != "a" || r.removed {
			return commands.Device{}, errNoDevice
		}
		if r.lookedUp != nil {
			r.lookedUp()
		}
		return commands.Device{Schema: schema, Hash: device.HashSchema(message), Message: message}, nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	if r.Settings, err = Open(r.db, r.clock, book); err != nil {
		r.t.Fatal(err)
	}
}

// restart closes and opens hub.db.
func (r *rig) restart() {
	r.t.Helper()
	if err := r.db.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

func (r *rig) exchange(d *commands.Delivery, results ...*device.Result) []commands.Command {
	r.t.Helper()
	send, _, err := d.Exchange(results)
	if err != nil {
		r.t.Fatal(err)
	}
	return send
}

func (r *rig) desire(channel string, value any) Setting {
	r.t.Helper()
	s, err := r.Set("a", channel, value, "ada", "10.0.0.1")
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// report is what device a says that a channel has.
func (r *rig) report(channel string, v device.Value) (due bool) {
	r.t.Helper()
	due, err := r.Report("a", []Reported{{Channel: channel, Value: v, Time: r.now()}})
	if err != nil {
		r.t.Fatal(err)
	}
	return due
}

func (r *rig) wantSetting(channel string, status Status, reason string) Setting {
	r.t.Helper()
	for _, s := range r.List("a") {
		if s.Channel == channel {
			if s.Status != status || !strings.Contains(s.Reason, reason) {
				r.t.Errorf("%s: %s %q, want %s %q", channel, s.Status, s.Reason, status, reason)
			}
			return s
		}
	}
	r.t.Errorf("%s has no desired value", channel)
	return Setting{}
}

func tenths(n int64) device.Value { return device.Value{Type: device.Int, Scale: -1, Bits: uint64(n)} }
