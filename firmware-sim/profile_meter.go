package firmwaresim

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// meterProfile is a power meter: a counter that only rises, exact to the watt-hour however large it gets, and the power
// it integrates.
func meterProfile() Profile {
	return Profile{
		Name:  "meter",
		About: "power meter: 64-bit energy counter, float64 power, voltage",
		Rate:  1,
		Schema: &device.Schema{Channels: []device.Channel{
			{ID: 0, Name: "energy", Type: device.Int, Unit: "W.h"},
			{ID: 1, Name: "power", Type: device.Float64, Unit: "W"},
			{ID: 2, Name: "voltage", Type: device.Float32, Unit: "V"},
			{ID: 3, Name: "relay", Type: device.Bool},
		}, Commands: commandSpecs()},
		start: startMeter,
	}
}

func startMeter(rng *rand.Rand, _ *controls) generator {
	var (
		// Beyond 2^53 a float64 would no longer count single watt-hours.
		energy = int64(1)<<53 + rng.Int64N(1<<40)
		rest   = 0.0 // of a watt-hour
		load   = 200 + 1800*rng.Float64()
		relay  = true
		last   time.Time
	)
	return func(at time.Time, d *device.Data) {
		if rng.IntN(120) == 0 {
			relay = !relay
		}
		load = math.Max(50, load+20*rng.NormFloat64())
		power := 2.5 // the meter's own
		if relay {
			power += load
		}
		if !last.IsZero() {
			rest += power * at.Sub(last).Hours()
			whole := math.Floor(rest)
			energy, rest = energy+int64(whole), rest-whole
		}
		last = at

		d.Times[0] = at.UnixMicro()
		d.Columns[0].Bits[0] = uint64(energy)
		d.Columns[1].Bits[0] = math.Float64bits(power)
		d.Columns[2].Bits[0] = float32Bits(230 + 1.5*rng.NormFloat64())
		d.Columns[3].Bits[0] = bit(relay)
	}
}
