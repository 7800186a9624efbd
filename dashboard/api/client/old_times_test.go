package client

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// Hubs once took readings of any time, and still have them.
func TestReadingsOutOfRangeMakeNoAnswerFail(t *testing.T) {
	st, c := openTest(t)
	ctx := t.Context()
	if _, err := c.AddDevices(ctx, []devices.NewDevice{{ID: "a"}, {ID: "b"}}); err != nil {
		t.Fatal(err)
	}
	in := st.Ledger.Ingest("a", 1, func() {})
	defer in.Close()
	in.Schema(device.AppendControl(nil, climate), climate)
	for i, at := range []int64{device.MinTime - 1, math.MinInt64 + 1, device.MaxTime + 1, math.MaxInt64} {
		d := &device.Data{Seq: uint64(i + 1), Times: []int64{at}, Columns: []device.Column{{ID: 3, Type: device.Bool, Bits: []uint64{1}}}}
		m, err := device.AppendData(nil, d, climate)
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Frame(ctx, m, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Devices(ctx); err != nil || len(list) != 2 || list[0].Books.Frames != 4 {
		t.Errorf("%+v, %v", list, err)
	}
	if d, err := c.Device(ctx, "a"); err != nil || !d.Books.LastData.Time().Equal(device.Moment(device.MinTime)) {
		t.Errorf("%+v, %v", d, err)
	}
	read := func(format string) []string {
		var out strings.Builder
		if err := c.Readings(ctx, ReadingsQuery{Devices: []string{"a"}, Format: format}, &out); err != nil {
			t.Error(format, err)
		}
		return slices.Collect(strings.Lines(out.String()))
	}
	const first, last = "0000-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
	var times []string
	for _, line := range read("json") {
		var reading struct{ Time time.Time }
		if err := json.Unmarshal([]byte(line), &reading); err != nil {
			t.Error(err)
		}
		times = append(times, reading.Time.Format(render.Time))
	}
	if d := cmp.Diff([]string{first, first, last, last}, times); d != "" {
		t.Error(d)
	}
	times = nil
	for _, line := range read("csv")[1:] {
		at, _, _ := strings.Cut(line, ",")
		times = append(times, at)
	}
	if d := cmp.Diff([]string{first, first, last, last}, times); d != "" {
		t.Error(d)
	}
	if lines := read("table"); len(lines) != 5 || !strings.HasPrefix(lines[1], "0000-01-01T00:00:00") {
		t.Errorf("%q", lines)
	}
	if lines := read("lineprotocol"); len(lines) != 0 { // which has no form for them
		t.Errorf("%q", lines)
	}
}
