package firmwaresim

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// trackerProfile is a GPS tracker on a van that keeps leaving the network's reach: it goes on measuring, and when it is
// back it sends what is new first and the backlog behind it.
func trackerProfile() Profile {
	return Profile{
		Name:  "tracker",
		About: "GPS, 30 s in reach, 30 s not, returns with a backlog",
		Rate:  1,
		Schema: &device.Schema{Channels: []device.Channel{
			{ID: 0, Name: "latitude", Type: device.Int, Scale: -7, Unit: "deg"},
			{ID: 1, Name: "longitude", Type: device.Int, Scale: -7, Unit: "deg"},
			{ID: 2, Name: "speed", Type: device.Float32, Unit: "m/s"},
			{ID: 3, Name: "fix", Type: device.Bool},
			{ID: 4, Name: "battery", Type: device.Int, Unit: "%"},
		}, Commands: commandSpecs()},
		Online:  30 * time.Second,
		Offline: 30 * time.Second,
		start:   startTracker,
	}
}

func startTracker(rng *rand.Rand, _ *controls) generator {
	const metresPerDegree = 111_320
	var (
		latitude  = 50.45 + 0.05*rng.NormFloat64()
		longitude = 3.95 + 0.05*rng.NormFloat64()
		heading   = 2 * math.Pi * rng.Float64()
		speed     = 8.0 // m/s
		battery   = 60 + 40*rng.Float64()
		last      time.Time
	)
	return func(at time.Time, d *device.Data) {
		if !last.IsZero() {
			dt := at.Sub(last).Seconds()
			heading += 0.2 * rng.NormFloat64()
			speed = math.Max(0, math.Min(25, speed+rng.NormFloat64()))
			latitude += speed * dt * math.Cos(heading) / metresPerDegree
			longitude += speed * dt * math.Sin(heading) / (metresPerDegree * math.Cos(latitude*math.Pi/180))
			battery = math.Max(0, battery-0.001*dt)
		}
		last = at
		fix := rng.IntN(20) != 0

		d.Times[0] = at.UnixMicro()
		d.Columns[0].Bits[0] = scaled(latitude, 1e7)
		d.Columns[1].Bits[0] = scaled(longitude, 1e7)
		d.Columns[2].Bits[0] = float32Bits(speed)
		d.Columns[3].Bits[0] = bit(fix)
		d.Columns[4].Bits[0] = scaled(battery, 1)
		// Without a fix the receiver has no position to report.
		for c := range 3 {
			d.Columns[c].Present = append(d.Columns[c].Present[:0], fix)
			if !fix {
				d.Columns[c].Bits[0] = 0
			}
		}
	}
}
