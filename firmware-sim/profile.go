package firmwaresim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Profile is a kind of simulated device: what it measures and how it behaves.
type Profile struct {
	Name  string
	About string  // one line for people
	Rate  float64 // frames a second that suit it, when nobody asks for another rate

	Schema *device.Schema
	Clock  device.Clock

	// A device that wanders off: connected for Online, out of reach for Offline, and so on. Offline 0: always in reach.
	Online, Offline time.Duration

	// start gives one device its own world. What it makes depends on rng, on the controls and on the times it is asked for, on
	// nothing else: the same seed gives the same readings.
	start func(rng *rand.Rand, c *controls) generator
}

// generator fills d with the frame of the moment at. The columns are those of newFrame and keep their memory between
// calls; the generator sets Times, the values and, where a sample lacks a value, Present.
type generator func(at time.Time, d *device.Data)

// Profiles returns all profiles, in the order in which help lists them.
func Profiles() []Profile {
	return []Profile{officeProfile(), vibrationProfile(), meterProfile(), trackerProfile(), soilProfile()}
}

// MixedProfile is the name that gives every device the next profile in turn.
const MixedProfile = "mixed"

// profilesNamed returns the profiles that a fleet takes in turn: one, or all for MixedProfile.
func profilesNamed(name string) ([]Profile, error) {
	all := Profiles()
	if name == MixedProfile {
		return all, nil
	}
	names := make([]string, 0, len(all)+1)
	for _, p := range all {
		if p.Name == name {
			return []Profile{p}, nil
		}
		names = append(names, p.Name)
	}
	return nil, problem("one of "+strings.Join(append(names, MixedProfile), ", "), "no profile %q", name)
}

// DescribeProfiles is the list of profiles for a help text.
func DescribeProfiles() string {
	var b strings.Builder
	for _, p := range Profiles() {
		fmt.Fprintf(&b, "  %-10s%4g/s  %s\n", p.Name, p.Rate, p.About)
	}
	fmt.Fprintf(&b, "  %-10s        %s\n", MixedProfile, "each of these in turn")
	return b.String()
}

// newFrame returns a frame of that many samples with a column for each of the schema's channels, all values absent or
// zero.
func newFrame(s *device.Schema, samples int) *device.Data {
	d := &device.Data{Times: make([]int64, samples), Columns: make([]device.Column, len(s.Channels))}
	for i, ch := range s.Channels {
		d.Columns[i] = device.Column{ID: ch.ID, Type: ch.Type, Bits: make([]uint64, samples)}
		if ch.Type == device.String {
			d.Columns[i].Text = make([][]byte, samples)
		}
	}
	return d
}

// resize makes a frame of newFrame one of another number of samples, reusing its memory.
func resize(d *device.Data, samples int) {
	d.Times = sized(d.Times, samples)
	for i := range d.Columns {
		c := &d.Columns[i]
		c.Bits = sized(c.Bits, samples)
		if c.Type == device.String {
			c.Text = sized(c.Text, samples)
		}
		if c.Present != nil {
			c.Present = sized(c.Present, samples)
		}
	}
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return append(s[:cap(s)], make([]T, n-cap(s))...)
	}
	return s[:n]
}
