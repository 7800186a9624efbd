package limit

import (
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	now := time.Date(2026, 5, 1, 8, 0, 0, 0, time.UTC)
	throttle := NewThrottle(func() time.Time { return now })
	a := Allowance{"test", 3, time.Minute}
	one, two := throttle.Suspect(a, "one"), throttle.Suspect(a, "two")
	for two.Slot == one.Slot {
		throttle = NewThrottle(throttle.now)
		one, two = throttle.Suspect(a, "one"), throttle.Suspect(a, "two")
	}
	take := func(want time.Duration, suspects ...Suspect) {
		t.Helper()
		if got := throttle.Take(suspects); got != want {
			t.Errorf("to wait %v, want %v", got, want)
		}
	}
	take(0, one, two)
	take(0, one)
	take(0, one)
	take(time.Minute, one)
	take(time.Minute, one, two) // takes none of two
	take(0, two)
	take(0, two)
	take(time.Minute, two)
	throttle.GiveBack([]Suspect{one})
	take(0, one)
	now = now.Add(30 * time.Second)
	take(30*time.Second, one)
	now = now.Add(30 * time.Second)
	take(0, one)
	take(time.Minute, one)
	now = now.Add(time.Hour)
	for range a.Burst { // no more than at first
		take(0, one)
	}
	take(time.Minute, one)
}
