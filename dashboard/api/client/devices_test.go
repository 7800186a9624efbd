package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

func TestDevices(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	creds, err := c.AddDevices(ctx, []devices.NewDevice{{ID: "b", Kind: "pump", Labels: map[string]string{"site": "north"}}, {ID: "a"}})
	if err != nil || len(creds) != 2 || creds[0].Device != "b" || creds[1].Device != "a" {
		t.Fatalf("AddDevices: %v, %v", creds, err)
	}
	for _, cred := range creds {
		if id, err := st.Devices.Authenticate(cred.Token); id != cred.Device || err != nil {
			t.Errorf("the token of %s authenticates %q, %v", cred.Device, id, err)
		}
	}
	_, err = c.AddDevices(ctx, []devices.NewDevice{{ID: "c"}, {ID: "a"}})
	wantError(t, err, http.StatusConflict, "a", "new token")
	_, err = c.AddDevices(ctx, []devices.NewDevice{{ID: "c"}, {ID: "not a name"}})
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
		if id, err := st.Devices.Authenticate(token); id != "a" || err != nil {
			t.Errorf("after rotation: %q, %v", id, err)
		}
	}
	if err := c.Revoke(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Devices.Authenticate(rotated.Token); !errors.Is(err, devices.ErrRevoked) && !errors.Is(err, devices.ErrUnknownToken) {
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
		wantError(t, err, http.StatusNotFound, "a", "/devices lists")
	}
	_, err = c.Rotate(ctx, "a")
	wantError(t, err, http.StatusNotFound, "a", "/devices lists")
}

func TestReadings(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	if _, err := c.AddDevices(ctx, []devices.NewDevice{{ID: "pump", Kind: "pump"}}); err != nil {
		t.Fatal(err)
	}
	const rows = 20_000 // several of the handler's buffers
	stream(t, st, "pump", 0, rows)
	get := func(q ReadingsQuery) (string, error) {
		q.Devices = []string{"pump"}
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
	for format := range extensions {
		if out, err := get(ReadingsQuery{Format: format, To: at(2_000_000)}); err != nil || !strings.Contains(out, "0.01") {
			t.Errorf("%s: %v\n%s", format, err, out)
		}
	}

	if _, err := get(ReadingsQuery{Format: "csv", Channels: []string{"temperature"}, From: at(1e12)}); err != nil {
		t.Errorf("none in these bounds: %v", err)
	}
	out, err := get(ReadingsQuery{Format: "csv", Channels: []string{"temperature", "temprature"}, To: at(2_000_000)})
	wantError(t, err, http.StatusNotFound, `no channel "temprature"`, "temperature")
	if strings.Count(out, ",temperature,") != 2 {
		t.Errorf("the channel that is there: %s", out)
	}
	_, err = get(ReadingsQuery{Format: "csv", Channels: []string{"temprature"}})
	wantError(t, err, http.StatusNotFound, `no channel "temprature"`, "temperature")
	for format := range extensions {
		err := c.Readings(ctx, ReadingsQuery{Devices: []string{"nobody"}, Format: format}, new(bytes.Buffer))
		wantError(t, err, http.StatusNotFound, "no such device", "/devices lists")
	}
}

// What ends a stream before its end must reach who reads it, though the status 200 has long been sent.
func TestReadingsThatBreakOff(t *testing.T) {
	dir := t.TempDir()
	serveTest(t, dir, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", api.ErrorField)
		_, _ = w.Write(bytes.Repeat([]byte("x"), 100_000))
		if r.URL.Query().Get("device") == "cut" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set(api.ErrorField, `{"status":500,"code":"internal","detail":"block 7 of\nthe history: store: closed"}`)
	}))
	c := dialTest(t, dir)
	var out bytes.Buffer
	err := c.Readings(t.Context(), ReadingsQuery{Devices: []string{"pump"}, Format: "csv"}, &out)
	wantError(t, err, http.StatusInternalServerError, "block 7 of\nthe history: store: closed", "")
	if out.Len() != 100_000 {
		t.Errorf("%d bytes came", out.Len())
	}
	err = c.Readings(t.Context(), ReadingsQuery{Devices: []string{"cut"}, Format: "csv"}, &out)
	if _, ok := errors.AsType[*UnreachableError](err); !ok || !strings.Contains(err.Error(), "broke off") {
		t.Errorf("a connection that is cut: %v", err)
	}
}

// What comes while a client follows is written once, in every format, and a heading only at the beginning.
func TestFollow(t *testing.T) {
	st, c := openTest(t)
	if _, err := c.AddDevices(t.Context(), []devices.NewDevice{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	rows := 10_001 // more than a page
	stream(t, st, "a", 0, rows)
	for format, heading := range map[string]string{"table": "TIME", "csv": "time,", "json": "", "lineprotocol": ""} {
		ctx, stop := context.WithCancel(t.Context())
		r, w := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			ended <- errors.Join(c.Follow(ctx, ReadingsQuery{Devices: []string{"a"}, Format: format}, w), w.Close())
		}()
		lines := bufio.NewScanner(r)
		next := func() string {
			t.Helper()
			if !lines.Scan() {
				t.Fatalf("%s: there are no more lines: %v", format, lines.Err())
			}
			return lines.Text()
		}
		if heading != "" && !strings.HasPrefix(next(), heading) {
			t.Errorf("%s begins with %q", format, lines.Text())
		}
		for i := range rows + 1 {
			if i == rows {
				stream(t, st, "a", rows, 1)
			}
			if line := next(); !strings.Contains(line, strconv.FormatFloat(float64(i)/100, 'f', -1, 64)) {
				t.Fatalf("%s: line %d is %q", format, i, line)
			}
		}
		rows++
		stop()
		if lines.Scan() {
			t.Errorf("%s: one more line: %s", format, lines.Text())
		}
		if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func TestStatus(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	if _, err := c.AddDevices(ctx, []devices.NewDevice{{ID: "pump"}}); err != nil {
		t.Fatal(err)
	}
	stream(t, st, "pump", 0, 2500)
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
	if _, err := c.AddDevices(ctx, []devices.NewDevice{{ID: "pump"}}); err != nil {
		t.Fatal(err)
	}
	if letters := allLetters(t, c); len(letters) != 0 {
		t.Fatalf("there are %+v", letters)
	}
	in := st.Ledger.Ingest("pump", 1, func() {})
	defer in.Close()
	const many = lettersInPage + 5
	for seq := uint64(1); seq <= many; seq++ {
		if err := in.Reject(ctx, seq, device.RejectBadValue, "no", []byte{3, byte(seq)}); err != nil {
			t.Fatal(err)
		}
	}
	var letters []api.DeadLetter
	waitFor(t, "the dead letters", func() bool {
		letters = allLetters(t, c)
		return len(letters) == many
	})
	for i, l := range letters {
		if l.Seq != uint64(i+1) || l.Device != "pump" || device.RejectCode(l.Code) != device.RejectBadValue || !bytes.Equal(l.Message, []byte{3, byte(i + 1)}) {
			t.Errorf("letter %d: %+v", i, l)
		}
	}
	if l, err := c.DeadLetter(ctx, letters[3].Position); err != nil || l.Seq != 4 {
		t.Errorf("one: %+v, %v", l, err)
	}
	_, err := c.DeadLetter(ctx, 1<<40)
	wantError(t, err, http.StatusNotFound, "no dead letter at position", "")
	if n, err := c.DropDeadLetters(ctx, []uint64{letters[0].Position, letters[4].Position, 1 << 40}); n != 2 || err != nil {
		t.Errorf("drop two: %d, %v", n, err)
	}
	if rest := allLetters(t, c); len(rest) != many-2 || rest[0].Seq != 2 || rest[3].Seq != 6 {
		t.Errorf("left: %d, %+v", len(rest), rest[:4])
	}
	if n, err := c.DropDeadLetters(ctx, nil); n != many-2 || err != nil {
		t.Errorf("drop all: %d, %v", n, err)
	}
	_, err = c.DropDeadLetters(ctx, []uint64{})
	wantError(t, err, http.StatusBadRequest, "all=true", "")
}

func allLetters(t *testing.T, c *Client) (all []api.DeadLetter) {
	t.Helper()
	err := c.DeadLetters(t.Context(), func(some []api.DeadLetter) error {
		all = append(all, some...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
