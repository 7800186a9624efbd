package firmwaresim

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// play encodes what a profile makes in a while.
func play(t *testing.T, p Profile, seed uint64) []byte {
	t.Helper()
	generate := p.start(rand.New(rand.NewPCG(seed, 0)), &controls{})
	d := newFrame(p.Schema, 1)
	d.Clock = p.Clock
	var out []byte
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	for range 200 {
		generate(at, d)
		d.Seq++
		message, err := device.AppendData(nil, d, p.Schema)
		if err != nil {
			t.Fatalf("frame %d: %v", d.Seq, err)
		}
		var parsed device.Data
		if err := device.ParseData(message, p.Schema, &parsed); err != nil {
			t.Fatalf("frame %d: %v", d.Seq, err)
		}
		if parsed.Readings() == 0 {
			t.Fatalf("frame %d holds no reading", d.Seq)
		}
		out = append(out, message...)
		at = at.Add(time.Second)
	}
	return out
}

func TestProfiles(t *testing.T) {
	for _, p := range Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			if err := p.Schema.Validate(); err != nil {
				t.Fatal(err)
			}
			first := play(t, p, 1)
			if !bytes.Equal(first, play(t, p, 1)) {
				t.Error("the same seed made other readings")
			}
			if bytes.Equal(first, play(t, p, 2)) {
				t.Error("another seed made the same readings")
			}
		})
	}
}

func TestProfilesAreListed(t *testing.T) {
	text := DescribeProfiles()
	for _, p := range Profiles() {
		if !strings.Contains(text, p.Name) || !strings.Contains(text, p.About) {
			t.Errorf("%s is missing in\n%s", p.Name, text)
		}
		if p.Rate <= 0 {
			t.Errorf("%s has no rate", p.Name)
		}
	}
	if got, err := profilesNamed(MixedProfile); err != nil || len(got) != len(Profiles()) {
		t.Errorf("%s: %d profiles, %v", MixedProfile, len(got), err)
	}
	if _, err := profilesNamed("nonsense"); err == nil {
		t.Error("an unknown profile was accepted")
	}
}

func TestMeterCountsExactly(t *testing.T) {
	p := meterProfile()
	generate := p.start(rand.New(rand.NewPCG(3, 0)), &controls{})
	d := newFrame(p.Schema, 1)
	at, last := time.Unix(0, 0), int64(0)
	for range 1000 {
		generate(at, d)
		energy := int64(d.Columns[0].Bits[0])
		if energy < last {
			t.Fatalf("the counter went back from %d to %d", last, energy)
		}
		last, at = energy, at.Add(time.Minute)
	}
	if last < 1<<53 {
		t.Errorf("%d fits a float64: the counter shows nothing", last)
	}
}

func TestResize(t *testing.T) {
	d := newFrame(scriptSchema(), 1)
	d.Columns[2].Present = []bool{true}
	for _, n := range []int{64, 3, 200, 1} {
		resize(d, n)
		if len(d.Times) != n || len(d.Columns[0].Bits) != n || len(d.Columns[5].Text) != n || len(d.Columns[2].Present) != n {
			t.Errorf("resize to %d: %d times, %d bits, %d texts, %d present", n,
				len(d.Times), len(d.Columns[0].Bits), len(d.Columns[5].Text), len(d.Columns[2].Present))
		}
	}
}
