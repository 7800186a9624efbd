package hub

import (
	"math"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

func TestTiming(t *testing.T) {
	const now = 1_700_000_000_000_000
	offset := func(boot uint64) (int64, bool) { return now - 1000, boot == 5 }
	for name, c := range map[string]struct {
		clock deviceClock
		data  device.Data
		want  store.Timing
		bad   bool
	}{
		"wall":              {data: device.Data{Times: []int64{now}}, want: store.Timing{}},
		"2015":              {data: device.Data{Times: []int64{1_420_070_400_000_000}}, want: store.Timing{}},
		"slightly ahead":    {data: device.Data{Times: []int64{now + 299_000_000, now}}, want: store.Timing{}},
		"ahead":             {data: device.Data{Times: []int64{now + 301_000_000, now}}, want: store.Timing{Quality: history.QualityDoubtful}},
		"far ahead":         {data: device.Data{Times: []int64{device.MaxTime}}, want: store.Timing{Quality: history.QualityDoubtful}},
		"too far ahead":     {data: device.Data{Times: []int64{now, device.MaxTime + 1}}, bad: true},
		"long ago":          {data: device.Data{Times: []int64{device.MinTime}}, want: store.Timing{}},
		"too long ago":      {data: device.Data{Times: []int64{device.MinTime - 1, now}}, bad: true},
		"known, long ago":   {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{device.MinTime - now + 1000}}, want: store.Timing{Offset: now - 1000, Quality: history.QualityConverted}},
		"known, too long":   {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{device.MinTime - now + 999}}, bad: true},
		"wrong clock":       {clock: deviceClock{doubtful: true}, data: device.Data{Times: []int64{now}}, want: store.Timing{Quality: history.QualityDoubtful}},
		"known boot":        {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{10, 20}}, want: store.Timing{Offset: now - 1000, Quality: history.QualityConverted}},
		"known boot, wrong": {clock: deviceClock{doubtful: true}, data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{10}}, want: store.Timing{Offset: now - 1000, Quality: history.QualityConverted}},
		"known boot, ahead": {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{302_000_000}}, want: store.Timing{Offset: now - 1000, Quality: history.QualityDoubtful}},
		"known, too far":    {data: device.Data{Clock: device.ClockBoot, Boot: 5, Times: []int64{0, math.MaxInt64}}, bad: true},
		"unknown boot":      {data: device.Data{Clock: device.ClockBoot, Boot: 6, Times: []int64{10, 30, 20}}, want: store.Timing{Offset: now - 30, Quality: history.QualityReceived}},
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
