package alarms_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// An alarm lasts from the first Set with its key until it is cleared; a new text does not make it a new alarm.
func TestSet(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := began
	l := alarms.New(wallclock.Steady(func() time.Time { return now }), slog.New(slog.DiscardHandler))
	l.Set("certificate", "it ends")
	now = now.Add(time.Second)
	l.Set("certificate", "it has ended")
	l.Raise("certificate", "it ended a second ago")
	if a := l.All(); len(a) != 1 || a[0].Text != "it has ended" || !a[0].Since.Equal(began) {
		t.Errorf("%+v", a)
	}
	l.Set("certificate", "")
	l.Set("certificate", "")
	if a := l.All(); len(a) != 0 {
		t.Errorf("it does not end: %+v", a)
	}
}
