package hub

import (
	"math"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func TestTiming(t *testing.T) {
	const now = 1_700_000_000_000_000
	offset := func(boot uint64) (int64, bool) { return now - 1000, boot == 5 }
	for name, c := range map[string]struct {
		clock deviceClock
		data  device.Data
		want  tail.Timing
		bad   bool
	}{
		"wall":              {data: device.Data{Times: []int64{now}}, want: tail.Timing{}},
		"2015":              {data: device.Data{Times: []int64{1_420_070_400_000_000}}, want: tail.Timing{}},
		"slightly ahead":    {data: device.Data{Times: []int64{now + 299_000_000, now}}, want: tail.Timing{}},
		"ahead":             {data: device.Data{Times: []int64{now + 301_000_000, now}}, want: tail.Timing{Quality: tail.QualityDoubtful}},
		"far ahead":         {data: device.Data{Times: []int64{device.MaxTime}}, want: tail.Timing{Quality: tail.QualityDoubtful}},
		"too far ahead":     {data: device.Data{Times: []int64{now, device.MaxTime + 1}}, bad: true},
		"long ago":          {data: device.Data{Times: []int64{device.MinTime}}, want: tail.Timing{}},
		"too long ago":      {data: device.Data{Times: []int64{device.MinTime - 1, now}}, bad: true},
		"known, long ago":   {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{device.MinTime - now + 1000}}, want: tail.Timing{Offset: now - 1000, Quality: tail.QualityConverted}},
		"known, too long":   {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{device.MinTime - now + 999}}, bad: true},
		"wrong clock":       {clock: deviceClock{doubtful: true}, data: device.Data{Times: []int64{now}}, want: tail.Timing{Quality: tail.QualityDoubtful}},
		"known boot":        {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{10, 20}}, want: tail.Timing{Offset: now - 1000, Quality: tail.QualityConverted}},
		"known boot, wrong": {clock: deviceClock{doubtful: true}, data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{10}}, want: tail.Timing{Offset: now - 1000, Quality: tail.QualityConverted}},
		"known boot, ahead": {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{302_000_000}}, want: tail.Timing{Offset: now - 1000, Quality: tail.QualityDoubtful}},
		"known, too far":    {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{0, math.MaxInt64}}, bad: true},
		"unknown boot":      {data: device.Data{Clock: device.ClockBoot, Boot: 6, Times: []int64{10, 30, 20}}, want: tail.Timing{Offset: now - 30, Quality: tail.QualityReceived}},
		"unknown, too far":  {data: device.Data{Clock: device.ClockBoot, Boot: 6, Times: []int64{math.MinInt64}}, bad: true},
		"unknown, too wide": {data: device.Data{Clock: device.ClockBoot, Boot: 6, Times: []int64{math.MinInt64, math.MaxInt64}}, bad: true},
	} {
		got, ok := c.clock.timing(&c.data, now, offset)
		if ok == c.bad || !c.bad && got != c.want {
			t.Errorf("%s: %+v %v, expected %+v", name, got, ok, c.want)
		}
	}
}

func TestSkew(t *testing.T) {
	for _, c := range []struct {
		device, hub int64
		want        time.Duration
	}{
		{5, 3, 2 * time.Microsecond},
		{3, 5, -2 * time.Microsecond},
		{math.MaxInt64, 0, math.MaxInt64 / 1000 * 1000},
		{math.MinInt64, 5, -math.MaxInt64 / 1000 * 1000},
		{math.MaxInt64, -5, math.MaxInt64 / 1000 * 1000},
	} {
		if got := skewOf(c.device, c.hub); got != c.want {
			t.Errorf("%d against %d: %d, expected %d", c.device, c.hub, got, c.want)
		}
	}
}

// A wall clock may be as wrong as it likes: its readings are marked, and stored.
func TestAnyWallClockIsLetIn(t *testing.T) {
	r := newRig(t, rigOptions{live: true}, "a")
	seq := uint64(0)
	for _, now := range []int64{math.MinInt64, math.MaxInt64, 0} {
		d := r.connect("a")
		hello := helloNow()
		hello.Now, hello.Next = now, seq+1
		d.greet(hello)
		seq++
		d.alive(seq)
		r.leave(d)
	}
	for reading, err := range r.store.Readings(t.Context(), history.Query{Device: "a"}) {
		if err != nil || reading.Quality != tail.QualityDoubtful {
			t.Errorf("%+v, %v", reading, err)
		}
	}
}

// What a reading's time is worth depends on what the hub knows of the device's clock.
func TestTimesAndTheirQuality(t *testing.T) {
	r := newRig(t, rigOptions{}, "wall", "boot", "wrong")
	old := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC)
	wall := r.join("wall")
	wall.write(2, frame(t, 1, old))
	wall.write(2, frame(t, 2, time.Now().Add(time.Hour)))
	wall.acked(1, 2)

	boot := r.connect("boot")
	hello := helloNow()
	hello.Clock, hello.Boot, hello.Now = device.ClockBoot, 5, (100 * time.Second).Microseconds()
	greeted := time.Now()
	boot.greet(hello)
	for seq, bootCount := range map[uint64]uint64{1: 5, 2: 4} {
		m, err := device.AppendData(nil, &device.Data{Seq: seq, Clock: device.ClockBoot, Boot: bootCount, Times: []int64{40_000_000},
			Columns: []device.Column{{ID: 2, Type: device.Int, Bits: []uint64{seq}}}}, testSchema)
		if err != nil {
			t.Fatal(err)
		}
		boot.write(2, m)
	}
	boot.acked(1, 2)

	wrong := r.connect("wrong")
	hello = helloNow()
	hello.Now -= (6 * time.Second).Microseconds()
	wrong.greet(hello)
	wrong.alive(1)

	readings := func(id string, n int) (list []history.Reading) {
		t.Helper()
		eventually(t, "readings of "+id, func() bool {
			list = list[:0]
			for reading, err := range r.store.Readings(t.Context(), history.Query{Device: id}) {
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, reading)
			}
			return len(list) == n
		})
		return list
	}
	near := func(what string, got, want time.Time) {
		t.Helper()
		if got.Sub(want).Abs() > 30*time.Second {
			t.Errorf("%s at %v, expected %v", what, got, want)
		}
	}
	if l := readings("wall", 2); !l[0].Time.Equal(old) || l[0].Quality != tail.QualityDevice || l[1].Quality != tail.QualityDoubtful {
		t.Errorf("%+v", l)
	}
	l := readings("boot", 2)
	near("known boot", l[0].Time, greeted.Add(-60*time.Second))
	near("unknown boot", l[1].Time, greeted)
	if l[0].Quality != tail.QualityConverted || l[1].Quality != tail.QualityReceived {
		t.Errorf("%+v", l)
	}
	if l := readings("wrong", 1); l[0].Quality != tail.QualityDoubtful {
		t.Errorf("%+v", l)
	}
}
