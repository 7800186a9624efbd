package firmwaresim

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	burstSamples  = 64
	burstInterval = 2500 * time.Microsecond // 400 Hz
)

// vibrationProfile is an accelerometer on a machine: every frame is a burst of samples at 400 Hz, and one temperature
// for the whole burst, so its column is absent in all samples but the first.
func vibrationProfile() Profile {
	return Profile{
		Name:  "vibration",
		About: "bursts of 64 samples at 400 Hz: x, y, z, one temperature",
		Rate:  0.2,
		Schema: &device.Schema{Channels: []device.Channel{
			{ID: 0, Name: "x", Type: device.Float32, Unit: "m/s2"},
			{ID: 1, Name: "y", Type: device.Float32, Unit: "m/s2"},
			{ID: 2, Name: "z", Type: device.Float32, Unit: "m/s2"},
			{ID: 3, Name: "temperature", Type: device.Int, Scale: -1, Unit: "Cel"},
		}, Commands: commandSpecs()},
		start: startVibration,
	}
}

func startVibration(rng *rand.Rand, _ *controls) generator {
	var (
		shaft       = 24 + rng.Float64() // turns a second
		wear        = 0.2 + rng.Float64()
		temperature = 45 + 10*rng.Float64()
	)
	return func(at time.Time, d *device.Data) {
		resize(d, burstSamples)
		temperature += 0.2 * rng.NormFloat64()
		phase := 2 * math.Pi * rng.Float64()
		present := d.Columns[3].Present
		if present == nil {
			present = make([]bool, burstSamples)
		}
		clear(present)
		present[0] = true
		d.Columns[3].Present = present
		d.Columns[3].Bits[0] = scaled(temperature, 10)
		for i := range burstSamples {
			// The last sample is taken now: a burst is sent when it is complete.
			t := time.Duration(i) * burstInterval
			d.Times[i] = at.Add(t - (burstSamples-1)*burstInterval).UnixMicro()
			angle := phase + 2*math.Pi*shaft*t.Seconds()
			shock := 0.0
			if rng.IntN(100) == 0 {
				shock = 5 * wear * rng.NormFloat64()
			}
			d.Columns[0].Bits[i] = float32Bits(wear*math.Sin(angle) + 0.05*rng.NormFloat64())
			d.Columns[1].Bits[i] = float32Bits(wear*math.Cos(angle) + 0.05*rng.NormFloat64())
			d.Columns[2].Bits[i] = float32Bits(9.81 + 0.3*wear*math.Sin(2*angle) + shock)
		}
	}
}

// float32Bits is v rounded to float32 precision, in the form a Float32 column holds it.
func float32Bits(v float64) uint64 { return math.Float64bits(float64(float32(v))) }
