package ledger_test

import (
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock/clocktest"
)

// TestBootsSurviveTheClock: what is known of a device's boot goes on to hold by the new clock, also after the hub was killed.
func TestBootsSurviveTheClock(t *testing.T) {
	m := clocktest.NewMachine(time.Unix(1000, 0))
	o := store.Options{Dir: t.TempDir(), Clock: m.Clock()}
	s := open(t, o)
	c := s.Ledger.ByHand(t)
	in := s.Ledger.Ingest("a", 1, func() {})
	now := func() int64 { return s.Clock().Now().UnixMicro() }
	measure := func(boot uint64, uptime int64) {
		t.Helper()
		if err := in.Boot(t.Context(), boot, now()-uptime, s.Clock().Base()); err != nil {
			t.Fatal(err)
		}
		if err := c.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// A device's uptime counts on with the machine's.
	converts := func(when string, boot uint64, uptime int64) {
		t.Helper()
		want := now()
		if offset, ok := in.Offset(boot); !ok || offset+uptime != want {
			t.Errorf("%s: boot %d: %v, want %v", when, boot, time.UnixMicro(offset+uptime).UTC(), time.UnixMicro(want).UTC())
		}
	}
	restart := func(meanwhile func()) {
		t.Helper()
		if err := s.Close(); err != nil { // without a checkpoint, as when it is killed
			t.Fatal(err)
		}
		meanwhile()
		o.Clock = m.Clock()
		s = open(t, o)
		c, in = s.Ledger.ByHand(t), s.Ledger.Ingest("a", 1, func() {})
		if err := c.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	measure(1, 5_000_000)
	converts("at once", 1, 5_000_000)
	m.Set(56 * year)
	converts("at once after it was set", 1, 5_000_000)
	m.Pass(time.Minute)
	measure(2, 7_000_000)                             // opens a batch
	offset, base := now()-9_000_000, s.Clock().Base() // of a device whose HELLO waits for a slow disk meanwhile
	converts("a minute later", 1, 65_000_000)
	m.Set(-10 * year)
	now() // notices
	if err := in.Boot(t.Context(), 3, offset, base); err != nil {
		t.Fatal(err)
	}
	converts("set while it was handed in", 3, 9_000_000)
	converts("ten years back", 2, 7_000_000)
	converts("ten years back", 1, 65_000_000)
	restart(func() { m.Set(10 * year) })
	converts("set while the hub was killed", 2, 7_000_000)
	converts("set while the hub was killed", 1, 65_000_000)
	restart(func() { m.Set(year); m.Set(-year) })
	converts("killed once more", 1, 65_000_000)
	before, _ := in.Offset(1)
	restart(func() { m.Reboot(-56 * year) })
	measure(3, 1_000_000)
	m.Set(56*year + time.Hour)
	measure(4, 2_000_000)
	converts("of this boot of the machine", 3, 1_000_000)
	if after, _ := in.Offset(1); after != before {
		t.Errorf("the offset of an earlier boot of the machine changed by %d", after-before)
	}
	if err := c.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	restart(func() {})
	converts("of this boot of the machine, killed", 3, 1_000_000)
	if after, _ := in.Offset(1); after != before {
		t.Errorf("killed: the offset of an earlier boot of the machine changed by %d", after-before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
