package store

import (
	"log/slog"
	"testing"
)

// Other parts of the hub raise alarms, too: each has one under its key, since the first time, until it ends it.
func TestSetAlarm(t *testing.T) {
	c := newClock()
	s, err := Open(Options{Dir: t.TempDir(), Now: c.now, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	began := c.now()
	s.SetAlarm("certificate", "it ends")
	c.pass(1e9)
	s.SetAlarm("certificate", "it has ended")
	if a := s.Alarms(); len(a) != 1 || a[0].Text != "it has ended" || !a[0].Since.Equal(began) {
		t.Errorf("%+v", a)
	}
	s.SetAlarm("certificate", "")
	s.SetAlarm("certificate", "")
	if a := s.Alarms(); len(a) != 0 {
		t.Errorf("it has no end: %+v", a)
	}
}
