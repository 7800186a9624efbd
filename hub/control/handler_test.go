package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// openTest opens a store, runs it, and returns it with a client that reaches it through the socket.
func openTest(t *testing.T) (*store.Store, *Client) {
	t.Helper()
	dir := t.TempDir()
	st, err := store.Open(store.Options{Dir: dir, CommitWindow: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- st.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ran, st.Close()); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	serveTest(t, dir, Handler(st, nil, nil))
	return st, dialTest(t, dir)
}

// wantError checks that err is what the handler answered with this status, text and hint.
func wantError(t *testing.T, err error, status int, text, hint string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != status || !strings.Contains(e.Text, text) || !strings.Contains(e.Hint, hint) {
		t.Errorf("got %#v, want status %d, text %q, hint %q", err, status, text, hint)
	}
}

func TestDevices(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	creds, err := c.AddDevices(ctx, []store.NewDevice{{ID: "b", Kind: "pump", Labels: map[string]string{"site": "north"}}, {ID: "a"}})
	if err != nil || len(creds) != 2 || creds[0].Device != "b" || creds[1].Device != "a" {
		t.Fatalf("AddDevices: %v, %v", creds, err)
	}
	for _, cred := range creds {
		if id, err := st.Authenticate(cred.Token); id != cred.Device || err != nil {
			t.Errorf("the token of %s authenticates %q, %v", cred.Device, id, err)
		}
	}
	_, err = c.AddDevices(ctx, []store.NewDevice{{ID: "c"}, {ID: "a"}})
	wantError(t, err, http.StatusConflict, "a", "device rotate")
	_, err = c.AddDevices(ctx, []store.NewDevice{{ID: "c"}, {ID: "not a name"}})
	wantError(t, err, http.StatusBadRequest, "not a name", "")

	list, err := c.Devices(ctx)
	if err != nil || len(list) != 2 || list[0].ID != "a" || list[1].ID != "b" || list[1].Labels["site"] != "north" || list[1].Kind != "pump" {
		t.Fatalf("Devices: %+v, %v", list, err)
	}
	rotated, err := c.Rotate(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{creds[1].Token, rotated.Token} {
		if id, err := st.Authenticate(token); id != "a" || err != nil {
			t.Errorf("after rotation: %q, %v", id, err)
		}
	}
	if err := c.Revoke(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Authenticate(rotated.Token); !errors.Is(err, store.ErrRevoked) && !errors.Is(err, store.ErrUnknownToken) {
		t.Errorf("after revocation: %v", err)
	}
	if d, err := c.Device(ctx, "a"); err != nil || !d.Revoked {
		t.Errorf("after revocation: %+v, %v", d, err)
	}
	if err := c.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	_, err = c.Device(ctx, "a")
	for _, err := range []error{err, c.Revoke(ctx, "a"), c.Remove(ctx, "a")} {
		wantError(t, err, http.StatusNotFound, "a", "device list")
	}
	_, err = c.Rotate(ctx, "a")
	wantError(t, err, http.StatusNotFound, "a", "device list")
}

// climate is what the devices of these tests measure.
var climate = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"}, {ID: 3, Name: "occupied", Type: device.Bool}}}

func at(µs int64) time.Time { return time.UnixMicro(1423072260_000000 + µs) }

// stream sends rows readings of temperature to the store as the device, a row a second from at(0) on, and waits until
// they are committed.
func stream(t *testing.T, st *store.Store, id string, rows int) {
	t.Helper()
	schema := climate
	announced := device.AppendControl(nil, schema)
	hash := device.HashSchema(announced)
	st.NoteDevice(id, &device.Hello{Stream: 1, SchemaHash: hash})
	in := st.Ingest(id, 1, func() {})
	defer in.Close()
	in.Schema(announced, schema)
	const perFrame = 1000
	seq := uint64(0)
	for first := 0; first < rows; first += perFrame {
		seq++
		n := min(perFrame, rows-first)
		d := &device.Data{Seq: seq, Columns: []device.Column{{ID: 1, Type: device.Int}}}
		for i := first; i < first+n; i++ {
			d.Times = append(d.Times, at(int64(i)*1_000_000).UnixMicro())
			d.Columns[0].Bits = append(d.Columns[0].Bits, uint64(i))
		}
		message, err := device.AppendData(nil, d, schema)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the commit", func() bool { return in.Received(device.MaxRanges).Count() == seq })
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestReadings(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	if _, err := c.AddDevices(ctx, []store.NewDevice{{ID: "pump", Kind: "pump"}}); err != nil {
		t.Fatal(err)
	}
	const rows = 20_000 // several of the handler's buffers
	stream(t, st, "pump", rows)
	get := func(q ReadingsQuery) (string, error) {
		q.Device = "pump"
		var out bytes.Buffer
		err := c.Readings(ctx, q, &out)
		return out.String(), err
	}
	got, err := get(ReadingsQuery{Format: "csv"})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(lines) != rows+1 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines[1:] {
		if want := fmt.Sprintf("%s,pump,temperature,%v,Cel,", at(int64(i)*1_000_000).UTC().Format(render.Time), float64(i)/100); line != want {
			t.Fatalf("row %d: got %s, want %s", i, line, want)
		}
	}

	bounded, err := get(ReadingsQuery{Format: "csv", Channels: []string{"temperature"}, From: at(10_000_000), To: at(12_000_000)})
	if want := strings.Join([]string{lines[0], lines[11], lines[12], ""}, "\n"); bounded != want || err != nil {
		t.Errorf("bounded: %v\n%s", err, bounded)
	}
	for _, format := range Formats() {
		if out, err := get(ReadingsQuery{Format: format, To: at(2_000_000)}); err != nil || !strings.Contains(out, "0.01") {
			t.Errorf("%s: %v\n%s", format, err, out)
		}
	}

	if _, err := get(ReadingsQuery{Format: "csv", Channels: []string{"temperature"}, From: at(1e12)}); err != nil {
		t.Errorf("none in these bounds: %v", err)
	}
	out, err := get(ReadingsQuery{Format: "csv", Channels: []string{"temperature", "temprature"}, To: at(2_000_000)})
	wantError(t, err, http.StatusOK, `no channel "temprature"`, "temperature")
	if strings.Count(out, ",temperature,") != 2 {
		t.Errorf("the channel that is there: %s", out)
	}
	_, err = get(ReadingsQuery{Format: "csv", Channels: []string{"temprature"}})
	wantError(t, err, http.StatusOK, `no channel "temprature"`, "temperature")
	_, err = get(ReadingsQuery{Format: "xml"})
	wantError(t, err, http.StatusBadRequest, `"xml"`, "csv")
	wantError(t, c.Readings(ctx, ReadingsQuery{Device: "nobody"}, new(bytes.Buffer)), http.StatusNotFound, "no such device", "device list")
}

// What ends a stream before its end must reach who reads it, though the status 200 has long been sent.
func TestReadingsThatBreakOff(t *testing.T) {
	dir := t.TempDir()
	serveTest(t, dir, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", errorTrailer)
		_, _ = w.Write(bytes.Repeat([]byte("x"), 100_000))
		sayError(w, fmt.Errorf("block 7 of\nthe history: %w", store.ErrClosed))
	}))
	var out bytes.Buffer
	err := dialTest(t, dir).Readings(t.Context(), ReadingsQuery{Device: "pump"}, &out)
	wantError(t, err, http.StatusOK, "block 7 of\nthe history: store: closed", "")
	if out.Len() != 100_000 {
		t.Errorf("%d bytes came", out.Len())
	}
}

func TestStatus(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	if _, err := c.AddDevices(ctx, []store.NewDevice{{ID: "pump"}}); err != nil {
		t.Fatal(err)
	}
	stream(t, st, "pump", 2500)
	s, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if s.Running || s.Devices != 1 || s.Frames != 3 || s.Readings != 2500 || s.Storage.State != "ok" || s.Journal.Bytes == 0 {
		t.Errorf("got %+v", s)
	}
	d, err := c.Device(ctx, "pump")
	if err != nil || d.Books.Readings != 2500 || d.Schema == nil || len(d.Schema.Channels) != 2 {
		t.Fatalf("got %+v, %v", d, err)
	}
	if ch := d.Schema.Channels[0]; ch.Name != "temperature" || ch.Type != "int" || ch.Scale != -2 || ch.Unit != "Cel" {
		t.Errorf("got %+v", ch)
	}
}

func TestDeadLetters(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	if _, err := c.AddDevices(ctx, []store.NewDevice{{ID: "pump"}}); err != nil {
		t.Fatal(err)
	}
	if letters, err := c.DeadLetters(ctx, 0, 10); err != nil || letters == nil || len(letters) != 0 {
		t.Fatalf("an empty shelf: %#v, %v", letters, err)
	}
	in := st.Ingest("pump", 1, func() {})
	defer in.Close()
	for seq := uint64(1); seq <= 5; seq++ {
		if err := in.Reject(ctx, seq, device.RejectBadValue, "no", []byte{3, byte(seq)}); err != nil {
			t.Fatal(err)
		}
	}
	var letters []store.DeadLetter
	waitFor(t, "the dead letters", func() bool {
		var err error
		if letters, err = c.DeadLetters(ctx, 0, 10); err != nil {
			t.Fatal(err)
		}
		return len(letters) == 5
	})
	for i, l := range letters {
		if l.Seq != uint64(i+1) || l.Device != "pump" || device.RejectCode(l.Code) != device.RejectBadValue || !bytes.Equal(l.Message, []byte{3, byte(i + 1)}) {
			t.Errorf("letter %d: %+v", i, l)
		}
	}
	if page, err := c.DeadLetters(ctx, letters[1].Position, 2); err != nil || len(page) != 2 || page[0].Position != letters[2].Position {
		t.Errorf("a page: %+v, %v", page, err)
	}
	if n, err := c.DropDeadLetters(ctx, []uint64{letters[0].Position, letters[4].Position, 1 << 40}); n != 2 || err != nil {
		t.Errorf("drop two: %d, %v", n, err)
	}
	rest, err := c.DeadLetters(ctx, 0, 10)
	if seqs := sequences(rest); err != nil || !slices.Equal(seqs, []uint64{2, 3, 4}) {
		t.Errorf("left: %v, %v", seqs, err)
	}
	if n, err := c.DropDeadLetters(ctx, nil); n != 3 || err != nil {
		t.Errorf("drop all: %d, %v", n, err)
	}
	_, err = c.DropDeadLetters(ctx, []uint64{})
	wantError(t, err, http.StatusBadRequest, "all=true", "")
}

func sequences(letters []store.DeadLetter) (seqs []uint64) {
	for _, l := range letters {
		seqs = append(seqs, l.Seq)
	}
	return seqs
}
