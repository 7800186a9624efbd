package firmwaresim

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// exportTime is how long the hub gets, after the last restart, to export everything: back-offs of up to 30 s come first.
const exportTime = 5 * time.Minute

// series is one channel of one device.
type series struct{ device, channel string }

// seriesTotals are the values of a series.
type seriesTotals struct {
	count     uint64
	sum       float64
	magnitude float64 // sum of the absolute values: what rounding depends on
}

// influxBooks are what the hub holds of each series, as InfluxDB should have it.
type influxBooks struct {
	types  map[string]device.ValueType // of channels
	totals map[series]seriesTotals
}

func newInfluxBooks(schema *device.Schema) *influxBooks {
	b := &influxBooks{types: map[string]device.ValueType{}, totals: map[series]seriesTotals{}}
	for _, c := range schema.Channels {
		b.types[c.Name] = c.Type
	}
	return b
}

// add enters a reading. NaN and infinities do not exist in InfluxDB.
func (b *influxBooks) add(deviceID string, r reading) {
	t := b.types[r.channel]
	key := series{deviceID, r.channel}
	total := b.totals[key]
	if t == device.Int || t == device.Float32 || t == device.Float64 {
		v, err := strconv.ParseFloat(r.value, 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return
		}
		total.sum += v
		total.magnitude += math.Abs(v)
	}
	total.count++
	b.totals[key] = total
}

// compare complains about every series that InfluxDB has otherwise, and returns how many points it has.
func (b *influxBooks) compare(ctx context.Context, x *childInflux, complain func(format string, args ...any)) (points uint64, err error) {
	found := map[series]seriesTotals{}
	const (
		all = `from(bucket: "` + influxDatabase + `") |> range(start: 1970-01-01T00:00:00Z, stop: 2100-01-01T00:00:00Z)`
		// A series has one point at a time. Flux may return it twice while a part of the series is in the server's cache:
		// https://github.com/influxdata/influxdb/issues/26690.
		perSeries = ` |> unique(column: "_time") |> group(columns: ["device", "_field"])`
	)
	err = x.query(ctx, all+perSeries+` |> count()`, func(deviceID, field string, value any) {
		n, _ := value.(int64)
		found[series{deviceID, field}] = seriesTotals{count: uint64(n)}
		points += uint64(n)
	})
	if err != nil {
		return 0, err
	}
	for name, t := range b.types {
		if t == device.Bool || t == device.String {
			continue
		}
		err := x.query(ctx, fmt.Sprintf(`%s |> filter(fn: (r) => r._field == %q)%s |> sum()`, all, name, perSeries),
			func(deviceID, field string, value any) {
				total := found[series{deviceID, field}]
				total.sum, _ = value.(float64)
				found[series{deviceID, field}] = total
			})
		if err != nil {
			return 0, err
		}
	}
	for key, want := range b.totals {
		got := found[key]
		delete(found, key)
		switch {
		case got.count != want.count:
			complain("%s of %s: InfluxDB counts %d points, the hub has %d", key.channel, key.device, got.count, want.count)
		// The sum is taken in another order. Where it overflows or drowns in the largest float64, the count has to do.
		case want.magnitude < 1e300 && math.Abs(got.sum-want.sum) > 1e-9*want.magnitude:
			complain("%s of %s: InfluxDB sums up to %v, the hub to %v", key.channel, key.device, got.sum, want.sum)
		}
	}
	for key := range found {
		complain("%s of %s is in InfluxDB, but not in the hub", key.channel, key.device)
	}
	return points, nil
}

// awaitExport waits until the hub has exported everything.
func (v *verification) awaitExport(ctx context.Context) error {
	for deadline := time.Now().Add(exportTime); ; {
		status, err := v.hub.status(ctx)
		if err != nil {
			return err
		}
		if status.Export.Waiting.Entries == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return v.hub.failed("%d frames still wait for InfluxDB after %v (%s: %s)",
				status.Export.Waiting.Entries, exportTime, status.Export.State, status.Export.Reason)
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return ctx.Err()
		}
	}
}
