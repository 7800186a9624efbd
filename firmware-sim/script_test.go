package firmwaresim

import (
	"errors"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func scriptFrame(s *script) *device.Data {
	d := newFrame(s.schema, scriptSamples)
	d.Clock, d.Boot = s.clock, 1
	for i := range d.Columns {
		d.Columns[i].Present = make([]bool, scriptSamples)
	}
	return d
}

// Every scripted frame can be encoded, every spoiled one is refused with its number, and every sample is found by its time.
func TestScript(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	for _, clock := range []device.Clock{device.ClockWall, device.ClockBoot} {
		s := newScript(7, "sim-0003", clock, now)
		d := scriptFrame(s)
		var message []byte
		var parsed device.Data
		last, ways := int64(0), map[device.RejectCode]int{}
		for seq := uint64(1); seq <= 2000; seq++ {
			s.fill(d, seq)
			var err error
			if message, err = device.AppendData(message[:0], d, s.schema); err != nil {
				t.Fatalf("frame %d: %v", seq, err)
			}
			if err := device.ParseData(message, s.schema, &parsed); err != nil {
				t.Fatalf("frame %d: %v", seq, err)
			}
			if got := parsed.Readings(); got != s.readings(seq) {
				t.Fatalf("frame %d holds %d readings, want %d", seq, got, s.readings(seq))
			}
			for i, at := range parsed.Times {
				if at <= last {
					t.Fatalf("frame %d, sample %d: time %d is not behind %d", seq, i, at, last)
				}
				last = at
				if gotSeq, gotSample, ok := s.locate(at + s.origin); gotSeq != seq || gotSample != i || !ok {
					t.Fatalf("frame %d, sample %d is located at %d, %d, %v", seq, i, gotSeq, gotSample, ok)
				}
			}
			err = device.ParseData(s.spoil(message, seq), s.schema, &parsed)
			var refused *device.DataError
			if !errors.As(err, &refused) || refused.Seq != seq {
				t.Fatalf("spoiled frame %d: %v", seq, err)
			}
			ways[refused.Code]++
		}
		if last+s.origin > now.UnixMicro() {
			t.Error("the script runs into the future")
		}
		if len(ways) < 2 {
			t.Errorf("frames are spoiled in one way only: %v", ways)
		}
	}
}

func TestScriptsDiffer(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	a, b, c := newScript(1, "a", device.ClockWall, now), newScript(1, "b", device.ClockWall, now), newScript(2, "a", device.ClockWall, now)
	same := func(x, y *script) (n int) {
		for seq := uint64(1); seq <= 100; seq++ {
			v, _ := x.value(seq, 0, 0)
			w, _ := y.value(seq, 0, 0)
			if v == w {
				n++
			}
		}
		return n
	}
	if same(a, a) != 100 || same(a, b) > 10 || same(a, c) > 10 {
		t.Errorf("equal values: %d with itself, %d with another device, %d with another seed", same(a, a), same(a, b), same(a, c))
	}
}
