package live

import (
	"fmt"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
)

func TestRefusals(t *testing.T) {
	r := newRig(t, "a")
	for i := range 37 {
		r.Refused(fmt.Sprintf("192.0.2.1:%d", i), "", "401: who?")
	}
	r.Refused("192.0.2.2:1", "", "401: who?")
	r.Refused("192.0.2.1:1", "", "429: too often")
	r.TLSFailed("[2001:db8::1]:5", "remote error: tls: unknown certificate authority")
	list := func() (texts []string) {
		for _, e := range r.Events("", 100) {
			texts = append(texts, e.Kind+" "+e.Address+" "+e.Text)
		}
		return texts
	}
	want := []string{
		"tls 2001:db8::1 remote error: tls: unknown certificate authority", "refused 192.0.2.1 429: too often",
		"refused 192.0.2.2 401: who?", "refused 192.0.2.1 401: who?",
	}
	if got := list(); !equal(got, want) {
		t.Errorf("%q", got)
	}
	r.pass(9 * time.Second)
	if got := list(); !equal(got, want) {
		t.Errorf("%q", got)
	}
	r.pass(time.Second)
	want = append([]string{"refused 192.0.2.1 401: who? (36 more in 10 s)"}, want...)
	if got := list(); !equal(got, want) {
		t.Errorf("%q", got)
	}
	r.pass(20 * time.Second)
	if got := list(); !equal(got, want) || len(r.events.repeats) != 0 || r.events.unknownRepeats != 0 {
		t.Errorf("%q", got)
	}
}

// Unknown peers, however many, push out only the events of unknown peers, and cost bounded memory.
func TestUnknownPeersDoNotFlood(t *testing.T) {
	r := newRig(t, "a")
	r.connect("a", 1)
	for round := range 20 {
		for i := range 2000 {
			r.Refused(fmt.Sprintf("10.%d.%d.%d:1", round, i/256, i%256), "", "401: who?")
		}
		r.pass(11 * time.Second)
	}
	if n := len(r.events.unknown.events); n != maxUnknown {
		t.Errorf("%d events of unknown peers", n)
	}
	if n := len(r.events.repeats); n > maxUnknownRepeats {
		t.Errorf("%d repeats", n)
	}
	if got := r.Events("a", 10); len(got) != 1 || got[0].Kind != "connected" {
		t.Errorf("%+v", got)
	}
	if got := r.Events("", 1); len(got) != 1 || got[0].Text != fmt.Sprintf("%d more events, too many to list", 2000-maxUnknownRepeats) {
		t.Errorf("%+v", got)
	}
}

func TestEventsAreBounded(t *testing.T) {
	r := newRig(t, "a", "b")
	for i := range 3000 {
		r.Connected("a", uint64(2*i+1), "192.0.2.1:1")
		r.Disconnected("a", uint64(2*i+1), 0, fmt.Sprint(i), false)
	}
	if n := len(r.events.known.events); n != maxEvents {
		t.Errorf("%d events", n)
	}
	all := r.Events("", 10_000)
	if len(all) != maxEvents || all[0].Text != "2999" || all[0].Number != all[1].Number+1 || all[len(all)-1].Number != all[0].Number-maxEvents+1 {
		t.Errorf("%d, %+v", len(all), all[0])
	}
	if got := r.EventsAfter("", all[3].Number, 10); len(got) != 3 || got[2].Number != all[2].Number {
		t.Errorf("%+v", got)
	}
	// Who asks for what follows gets all of it, page by page.
	for after, pages := all[maxEvents-1].Number, 0; after < all[0].Number; pages++ {
		got := r.EventsAfter("", after, 1000)
		if len(got) == 0 || got[len(got)-1].Number != after+1 || pages > maxEvents/1000 {
			t.Fatalf("behind %d come %d events: %+v", after, len(got), got)
		}
		after = got[0].Number
	}
	if got := r.Events("b", 10); got == nil || len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// A device whose frames are refused one after the other is told of once in ten seconds.
func TestRejectsAreCounted(t *testing.T) {
	r := newRig(t, "a")
	d := r.device("a")
	for i := range 100 {
		if err := d.in.Reject(t.Context(), uint64(i+1), device.RejectMalformed, fmt.Sprint(i), []byte{2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.in.Boot(t.Context(), 4, 0, r.store.Clock().Base()); err != nil {
		t.Fatal(err)
	}
	if err := d.in.Boot(t.Context(), 5, 0, r.store.Clock().Base()); err != nil {
		t.Fatal(err)
	}
	r.eventually("the second boot is known", func() bool { e := r.Events("a", 1); return len(e) == 1 && e[0].Kind == "boot" })
	r.pass(11 * time.Second)
	got := r.Events("a", 10)
	if len(got) != 3 || got[0].Text != "malformed: 99 (99 more in 10 s)" || got[1].Text != "boot 5" || got[2].Text != "malformed: 0" {
		t.Errorf("%+v", got)
	}
}

func TestAlarmsAreEvents(t *testing.T) {
	r := newRig(t)
	r.mu.Lock()
	r.compareAlarms([]alarms.Alarm{{Key: "disk", Since: r.clock.now(), Text: "the disk is full"}}, r.micros())
	r.compareAlarms([]alarms.Alarm{{Key: "disk", Since: r.clock.now(), Text: "the disk is very full"}}, r.micros())
	r.mu.Unlock()
	r.ticks(4) // the store has none
	got := r.Events("", 10)
	if len(got) != 2 || got[0].Text != "over: the disk is very full" || got[1].Text != "the disk is full" || got[0].Kind != "alarm" {
		t.Errorf("%+v", got)
	}
}

func TestNobodyToTell(t *testing.T) {
	var f *Feed
	f.Connected("a", 1, "")
	f.Greeted("a", 1, time.Hour)
	f.Disconnected("a", 1, 0, "", true)
	f.Refused("", "", "")
	f.TLSFailed("", "")
}
