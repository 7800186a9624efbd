package firmwaresim

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// officeProfile is a room sensor: temperature follows the hour, people come and go, and CO₂ rises while they are there.
// Decimals travel as scaled integers, as most sensors of this kind measure them. It has a thermostat: the room follows the
// setpoint once there is one, half of the way in about 14 frames.
func officeProfile() Profile {
	return Profile{
		Name:  "office",
		About: "room climate: temperature, humidity, CO2, occupied, setpoint",
		Rate:  1,
		Schema: &device.Schema{Channels: []device.Channel{
			{ID: 0, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"},
			{ID: 1, Name: "humidity", Type: device.Int, Scale: -1, Unit: "%"},
			{ID: 2, Name: "co2", Type: device.Int, Unit: "[ppm]"},
			{ID: 3, Name: "occupied", Type: device.Bool},
			{ID: 4, Name: "setpoint", Type: device.Int, Scale: -1, Unit: "Cel", Writable: true},
		}, Commands: append([]device.CommandSpec{setpointSpec()}, commandSpecs()...)},
		start: startOffice,
	}
}

func startOffice(rng *rand.Rand, c *controls) generator {
	var (
		base     = 20 + 3*rng.Float64() // °C at night
		drift    = 0.0                  // °C
		humidity = 35 + 20*rng.Float64()
		co2      = 420 + 80*rng.Float64()
		occupied = rng.IntN(2) == 1
		heating  = 0.0 // °C above what the room would have
	)
	return func(at time.Time, d *device.Data) {
		hour := float64(at.Unix()%86400) / 3600
		drift = 0.99*drift + 0.05*rng.NormFloat64()
		humidity = math.Max(15, math.Min(85, humidity+0.1*rng.NormFloat64()))
		if rng.IntN(60) == 0 {
			occupied = !occupied
		}
		target := 420.0
		if occupied {
			target = 1400
		}
		co2 += (target-co2)*0.01 + 2*rng.NormFloat64()
		celsius := base + 2*math.Sin((hour-9)/24*2*math.Pi) + drift
		wanted := 0.0
		if c.setpoint > 0 {
			wanted = c.setpoint - celsius
		}
		heating += 0.05 * (wanted - heating)

		d.Times[0] = at.UnixMicro()
		d.Columns[0].Bits[0] = scaled(celsius+heating, 100)
		d.Columns[1].Bits[0] = scaled(humidity, 10)
		d.Columns[2].Bits[0] = scaled(co2, 1)
		d.Columns[3].Bits[0] = bit(occupied)
		d.Columns[4].Present = append(d.Columns[4].Present[:0], c.setpoint > 0)
		d.Columns[4].Bits[0] = scaled(c.setpoint, 10)
	}
}

// scaled is v × factor, rounded, as the raw bits of an Int channel.
func scaled(v, factor float64) uint64 { return uint64(int64(math.Round(v * factor))) }

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
