package hub

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// A LOST with a wrong number far above those in use would make the frames to come duplicates, and its count would drown that of
// the whole fleet.
func TestLostFarAhead(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{ConnectsPerDevice: 1000}}, "a")
	hello := helloNow()
	hello.Next = 100
	for _, c := range []struct {
		last uint64
		ok   bool
	}{
		{99 + device.MaxAhead + 1, false}, // above HELLO.Next − 1
		{device.MaxSeq, false},
		{99 + device.MaxAhead, true},
		{99 + device.MaxAhead + 1, false}, // one LOST is no ground for the next
		{99 + device.MaxAhead, true},      // what is settled already may always be named
	} {
		d := r.connect("a")
		d.greet(hello)
		before := r.store.Ledger.Books("a").Lost
		d.control(&device.Lost{First: c.last, Last: c.last, Reason: device.LostUnsent})
		if c.ok {
			d.acked(c.last)
			continue
		}
		if text := d.closed(device.CloseBadState); !strings.Contains(text, "LOST") {
			t.Errorf("%d: closed with %q", c.last, text)
		}
		if lost := r.store.Ledger.Books("a").Lost; lost != before {
			t.Errorf("%d: %d lost, %d before", c.last, lost, before)
		}
	}
}

// The numbers of HELLO must not let a device declare lost, or leave as holes, what no device can have made.
func TestNextFarAhead(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	hello := helloNow()
	hello.Next = device.MaxSeq
	d := r.connect("a")
	if w := d.greet(hello); !w.NeedStream {
		t.Errorf("%+v", w)
	}
	if alarms := r.store.Alarms.All(); len(alarms) != 1 || !strings.Contains(alarms[0].Text, "readings of a are lost") {
		t.Errorf("%+v", alarms)
	}
	d.data(device.MaxSeq - 1)
	if m := expect[*device.Reject](d); m.Seq != 0 || m.Code != device.RejectMalformed {
		t.Errorf("%+v", m)
	}
	d.control(&device.Lost{First: 1, Last: device.MaxSeq - 1, Reason: device.LostOverwritten})
	d.closed(device.CloseBadState)
	if b := r.store.Ledger.Books("a"); b.Lost != 0 || b.Holes != 0 || b.Rejected != 1 {
		t.Errorf("%+v", b)
	}
	hello.Stream, hello.Next = 8, 1+device.MaxSkip
	d = r.connect("a")
	if w := d.greet(hello); w.NeedStream {
		t.Errorf("%+v", w)
	}
	if alarms := r.store.Alarms.All(); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
	}
	d.alive(device.MaxSkip)
}

// A frame with a corrupt number is not stored under it: it would make RESEND ask for, and the device declare lost, numbers that
// are still to come.
func TestDataFarAhead(t *testing.T) {
	r := newRig(t, rigOptions{pace: func(p *pace) {
		p.housekeeping, p.holes, p.resend = 5*time.Millisecond, 20*time.Millisecond, time.Millisecond
	}}, "a")
	d := r.join("a")
	d.alive(1)
	broken := func(seq uint64) []byte { return frame(t, seq, time.Now())[:12] }
	for _, message := range [][]byte{
		frame(t, 1<<50, time.Now()), frame(t, 2+device.MaxAhead, time.Now()), broken(1 << 50), // a frame that is refused anyway
	} {
		d.write(2, message)
		if m := expect[*device.Reject](d); m.Seq != 0 || m.Code != device.RejectMalformed {
			t.Errorf("%+v", m)
		}
	}
	if b := r.store.Ledger.Books("a"); b.Rejected != 3 || b.Holes != 0 {
		t.Errorf("%+v", b)
	}
	// Nearer by, it may be right. But what the device is asked for is no more than it has made.
	d.data(1+device.MaxAhead, 4)
	for asked := (device.Range{}); asked != (device.Range{First: 2, Last: 3}); {
		m := expect[*device.Resend](d)
		if asked = m.Ranges[0]; len(m.Ranges) != 1 || asked.Last > 3 {
			t.Fatalf("%+v", m)
		}
	}
	// Its number 4 cannot be known to be taken; but when it comes back, the higher one can be seen.
	again := r.connect("a")
	hello := helloNow()
	hello.Next = 5
	if w := again.greet(hello); !w.NeedStream {
		t.Errorf("%+v", w)
	}
}

// A buffer that begins anew under its old name is told, and its owner.
func TestStreamThatBeginsAgain(t *testing.T) {
	r := newRig(t, rigOptions{live: true}, "a", "b")
	d := r.join("a")
	d.data(1, 2, 3)
	d.acked(1, 2, 3)
	r.leave(d)
	d = r.connect("a")
	hello := helloNow()
	hello.Next = 3 // one less than it has used
	if w := d.greet(hello); !w.NeedStream || len(w.Received) != 1 {
		t.Errorf("%+v", w)
	}
	d.data(3)
	d.acked(3)
	if b := r.store.Ledger.Books("a"); b.Duplicates != 1 || b.Frames != 3 {
		t.Errorf("%+v", b)
	}
	if alarms := r.store.Alarms.All(); len(alarms) != 1 || !strings.Contains(alarms[0].Text, "readings of a are lost") || !strings.Contains(alarms[0].Text, "has number 3 already") {
		t.Errorf("%+v", alarms)
	}
	eventually(t, "an event", func() bool {
		return slices.ContainsFunc(r.feed.Events("a", 100), func(e live.Event) bool { return e.Kind == "stream" })
	})
	if w := r.connect("b").greet(helloNow()); w.NeedStream {
		t.Errorf("%+v", w)
	}
	r.leave(d)
	d = r.connect("a")
	hello.Stream, hello.Next = 8, 1
	if w := d.greet(hello); w.NeedStream {
		t.Errorf("%+v", w)
	}
	if alarms := r.store.Alarms.All(); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
	}
	// The owner may also remove it.
	r.leave(d)
	d = r.connect("b")
	d.greet(helloNow())
	d.alive(1)
	r.leave(d)
	r.connect("b").greet(helloNow())
	if alarms := r.store.Alarms.All(); len(alarms) != 1 {
		t.Errorf("%+v", alarms)
	}
	if err := r.store.RemoveDevice("b"); err != nil {
		t.Fatal(err)
	}
	if alarms := r.store.Alarms.All(); len(alarms) != 0 {
		t.Errorf("%+v", alarms)
	}
}
