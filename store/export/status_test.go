package export

import (
	"testing"
	"time"
)

func TestHorizon(t *testing.T) {
	e := &Export{deps: Deps{MaxBytes: 1 << 30}}
	now := time.Now()
	for _, test := range []struct {
		waiting Waiting
		rate    float64
		age     time.Duration
		want    time.Duration // from now; 0: never
	}{
		{Waiting{}, 0, 0, 0},
		{Waiting{}, 1 << 20, 0, 1024 * time.Second},
		{Waiting{Bytes: 1 << 29}, 1 << 20, 0, 512 * time.Second},
		{Waiting{Bytes: 2 << 30}, 1, 0, time.Nanosecond}, // now
		{Waiting{}, 1e-9, 0, 0},
		{Waiting{Oldest: now.Add(-time.Minute)}, 1 << 20, 10 * time.Minute, 9 * time.Minute},
		{Waiting{}, 0, 10 * time.Minute, 10 * time.Minute},
	} {
		e.deps.MaxAge = test.age
		at := e.horizon(now, test.waiting, test.rate)
		if test.want == 0 != at.IsZero() || !at.IsZero() && at.Sub(now).Round(time.Second) != test.want.Round(time.Second) {
			t.Errorf("%+v at %v bytes/s: %v from now, want %v", test.waiting, test.rate, at.Sub(now), test.want)
		}
	}
}
