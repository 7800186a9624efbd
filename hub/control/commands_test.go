package control

import (
	"net/http"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// commanded registers a device that has announced what it can be told.
func commanded(t *testing.T, st *store.Store, id string) {
	t.Helper()
	schema := &device.Schema{
		Channels: []device.Channel{{ID: 1, Name: "limit", Type: device.Int, Writable: true}},
		Commands: []device.CommandSpec{{Name: "open", Args: []device.Arg{{Name: "percent", Type: device.Int}, {Name: "note", Type: device.String, Optional: true}}}},
	}
	message := device.AppendControl(nil, schema)
	if _, err := st.AddDevices([]store.NewDevice{{ID: id}}); err != nil {
		t.Fatal(err)
	}
	in := st.Ingest(id, 1, func() {})
	defer in.Close()
	in.Schema(message, schema)
	st.NoteDevice(id, &device.Hello{SchemaHash: device.HashSchema(message)})
}

func TestCommands(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	commanded(t, st, "a")
	id := device.NewCommandID()
	n := NewCommand{ID: id, Name: "open", Args: map[string]string{"percent": "9007199254740993", "note": "12"}, TTL: time.Minute}
	command, err := c.SendCommand(ctx, "a", n)
	if err != nil || command.ID != id || command.State != commands.Queued || command.From != "command line" || command.By == "" || command.By == "unknown" {
		t.Fatalf("%+v, %v", command, err)
	}
	if kept, err := st.Commands.Get(id); err != nil || kept.Args["percent"] != int64(9007199254740993) || kept.Args["note"] != "12" {
		t.Errorf("%+v, %v", kept, err)
	}
	list, err := c.Commands(ctx, commands.Filter{Device: "a", States: []commands.State{commands.Queued}, Since: time.Now().Add(-time.Hour), Limit: 5})
	if err != nil || len(list) != 1 || list[0].ID != id {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := c.Commands(ctx, commands.Filter{Before: command.Number}); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if now, err := c.Command(ctx, id, 10*time.Millisecond); err != nil || now.State != commands.Queued {
		t.Errorf("%+v, %v", now, err)
	}
	if now, err := c.CancelCommand(ctx, id); err != nil || now.State != commands.Cancelled {
		t.Errorf("%+v, %v", now, err)
	}
	if now, err := c.Command(ctx, id, time.Minute); err != nil || now.State != commands.Cancelled {
		t.Errorf("%+v, %v", now, err)
	}

	_, err = c.CancelCommand(ctx, id)
	wantError(t, err, http.StatusConflict, "only a queued one", "")
	_, err = c.SendCommand(ctx, "a", NewCommand{ID: id, Name: "open", Args: map[string]string{"percent": "1"}})
	wantError(t, err, http.StatusConflict, "another command", "id of its own")
	_, err = c.SendCommand(ctx, "a", NewCommand{Name: "open", Args: map[string]string{"percent": "wide"}})
	wantError(t, err, http.StatusBadRequest, "must be a whole number", "percent (a whole number)")
	_, err = c.SendCommand(ctx, "b", NewCommand{Name: "open"})
	wantError(t, err, http.StatusNotFound, "no such device", "device list")
	_, err = c.Command(ctx, device.NewCommandID(), 0)
	wantError(t, err, http.StatusNotFound, "no command", "")
	for _, path := range []string{"/commands/nonsense", "/commands?before=x", "/commands?since=x", "/audit?after=-1", "/commands/" + id.String() + "?wait=long"} {
		wantError(t, c.call(ctx, http.MethodGet, path, nil, nil), http.StatusBadRequest, "", "")
	}
}

func TestSettings(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	commanded(t, st, "a")
	set, err := c.SetDesired(ctx, "a", "limit", "80")
	if err != nil || set.Status != settings.Pending || set.By == "" {
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
	if _, err := c.AddDevices(ctx, []store.NewDevice{{ID: "a"}, {ID: "b"}}); err != nil {
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
	trail, err := c.AuditTrail(ctx, audit.Filter{Device: "a"})
	if err != nil || len(trail) != 4 {
		t.Fatalf("%+v, %v", trail, err)
	}
	for i, action := range []string{"device removed", "device revoked", "device token rotated", "device added"} {
		if e := trail[i]; e.Action != action || e.By != caller() || e.From != "command line" || e.At.IsZero() {
			t.Errorf("%+v, want %s", e, action)
		}
	}
	if page, err := c.AuditTrail(ctx, audit.Filter{Before: trail[0].Number, After: trail[3].Number, Limit: 2}); err != nil || len(page) != 2 || page[0].Number != trail[1].Number {
		t.Errorf("%+v, %v", page, err)
	}
}
