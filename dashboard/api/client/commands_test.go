package client

import (
	"net/http"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// commanded registers a device that has announced what it can be told.
func commanded(t *testing.T, st *store.Store, id string) {
	t.Helper()
	schema := &device.Schema{
		Channels: []device.Channel{{ID: 1, Name: "limit", Type: device.Int, Writable: true}},
		Commands: []device.CommandSpec{{Name: "open", Args: []device.Arg{{Name: "percent", Type: device.Int}, {Name: "note", Type: device.String, Optional: true}}}},
	}
	message := device.AppendControl(nil, schema)
	if _, err := st.Devices.Add([]devices.NewDevice{{ID: id}}); err != nil {
		t.Fatal(err)
	}
	in := st.Ledger.Ingest(id, 1, func() {})
	defer in.Close()
	in.Schema(message, schema)
	st.Devices.Note(id, &device.Hello{SchemaHash: device.HashSchema(message)})
}

func TestCommands(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	commanded(t, st, "a")
	id := device.NewCommandID()
	n := NewCommand{ID: id, Name: "open", Args: map[string]string{"percent": "9007199254740993", "note": "12"}, TTL: 60_000}
	command, err := c.SendCommand(ctx, "a", n)
	if err != nil || command.ID != id.String() || command.State != string(commands.Queued) || command.From != "command line" || command.By == "" || command.By == "unknown" {
		t.Fatalf("%+v, %v", command, err)
	}
	if kept, err := st.Commands.Get(id); err != nil || kept.Args["percent"] != int64(9007199254740993) || kept.Args["note"] != "12" {
		t.Errorf("%+v, %v", kept, err)
	}
	list, err := c.Commands(ctx, Filter{Device: "a", States: []string{string(commands.Queued)}, Since: time.Now().Add(-time.Hour), Limit: 5})
	if err != nil || len(list) != 1 || list[0].ID != id.String() {
		t.Errorf("%+v, %v", list, err)
	}
	if now, err := c.Command(ctx, id.String(), 10*time.Millisecond); err != nil || now.State != string(commands.Queued) {
		t.Errorf("%+v, %v", now, err)
	}
	if now, err := c.CancelCommand(ctx, id.String()); err != nil || now.State != string(commands.Cancelled) {
		t.Errorf("%+v, %v", now, err)
	}
	if now, err := c.Command(ctx, id.String(), time.Minute); err != nil || now.State != string(commands.Cancelled) {
		t.Errorf("%+v, %v", now, err)
	}

	_, err = c.CancelCommand(ctx, id.String())
	wantError(t, err, http.StatusConflict, "only a queued one", "")
	_, err = c.SendCommand(ctx, "a", NewCommand{ID: id, Name: "open", Args: map[string]string{"percent": "1"}})
	wantError(t, err, http.StatusConflict, "another command", "id of its own")
	_, err = c.SendCommand(ctx, "a", NewCommand{Name: "open", Args: map[string]string{"percent": "wide"}})
	wantError(t, err, http.StatusBadRequest, "must be a whole number", "percent (a whole number)")
	_, err = c.SendCommand(ctx, "b", NewCommand{Name: "open"})
	wantError(t, err, http.StatusNotFound, "no such device", "/devices lists")
	_, err = c.Command(ctx, device.NewCommandID().String(), 0)
	wantError(t, err, http.StatusNotFound, "no command", "")
	_, err = c.Command(ctx, "nonsense", 0)
	wantError(t, err, http.StatusBadRequest, "", "")
}

func TestSettings(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	commanded(t, st, "a")
	set, err := c.SetDesired(ctx, "a", "limit", "80")
	if err != nil || set.Status != "pending" || set.By == "" {
		t.Fatalf("%+v, %v", set, err)
	}
	if list, err := c.Settings(ctx, "a"); err != nil || len(list) != 1 || list[0].Channel != "limit" {
		t.Errorf("%+v, %v", list, err)
	}
	_, err = c.SetDesired(ctx, "a", "speed", "80")
	wantError(t, err, http.StatusBadRequest, `no writable channel "speed"`, "it has limit")
	_, err = c.SetDesired(ctx, "a", "limit", "much")
	wantError(t, err, http.StatusBadRequest, "must be a whole number", "")
	_, err = c.Settings(ctx, "b")
	wantError(t, err, http.StatusNotFound, "no such device", "")
	if err := c.ClearDesired(ctx, "a", "limit"); err != nil {
		t.Error(err)
	}
	wantError(t, c.ClearDesired(ctx, "a", "limit"), http.StatusNotFound, "no desired value", "")
}

func TestWhatIsDoneToDevicesIsAudited(t *testing.T) {
	_, c := openTest(t)
	ctx := t.Context()
	if _, err := c.AddDevices(ctx, []devices.NewDevice{{ID: "a"}, {ID: "b"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Rotate(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if err := c.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.Remove(ctx, "a"), http.StatusNotFound, "", "") // which is not
	trail, err := c.AuditTrail(ctx, Filter{Device: "a", Limit: 10})
	if err != nil || len(trail) != 4 {
		t.Fatalf("%+v, %v", trail, err)
	}
	for i, action := range []string{"device removed", "device revoked", "device token rotated", "device added"} {
		if e := trail[i]; e.Action != action || e.By != caller() || e.From != "command line" || e.At == 0 {
			t.Errorf("%+v, want %s", e, action)
		}
	}
}
