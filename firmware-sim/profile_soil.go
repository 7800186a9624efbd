package firmwaresim

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// soilProfile is a probe in a field without a wall clock: its times count from its boot, and the hub turns them into
// real ones.
func soilProfile() Profile {
	return Profile{
		Name:  "soil",
		About: "probe without wall clock: moisture, temperature, a text",
		Rate:  1,
		Clock: device.ClockBoot,
		Schema: &device.Schema{Channels: []device.Channel{
			{ID: 0, Name: "moisture", Type: device.Int, Scale: -1, Unit: "%"},
			{ID: 1, Name: "temperature", Type: device.Float32, Unit: "Cel"},
			{ID: 2, Name: "state", Type: device.String},
		}, Commands: commandSpecs()},
		start: startSoil,
	}
}

func startSoil(rng *rand.Rand, _ *controls) generator {
	var (
		moisture    = 20 + 30*rng.Float64()
		temperature = 8 + 6*rng.Float64()
	)
	return func(at time.Time, d *device.Data) {
		moisture -= 0.02
		if rng.IntN(200) == 0 {
			moisture += 15 // it rained
		}
		moisture = math.Max(2, math.Min(60, moisture))
		temperature += 0.05 * rng.NormFloat64()
		state := "moist"
		switch {
		case moisture < 15:
			state = "dry"
		case moisture > 45:
			state = "wet"
		}
		d.Times[0] = at.UnixMicro()
		d.Columns[0].Bits[0] = scaled(moisture, 10)
		d.Columns[1].Bits[0] = float32Bits(temperature)
		d.Columns[2].Text[0] = append(d.Columns[2].Text[0][:0], state...)
	}
}
