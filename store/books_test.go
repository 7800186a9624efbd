package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
)

func TestBooksClose(t *testing.T) {
	h := start(t, store.Options{})
	c := connect(t, h.Store, "a", 7)
	c.Resume(21)
	c.Send(numbers(1, 10)...)
	c.Send(3, 4, 4)
	if err := c.Reject(t.Context(), 11, device.RejectBadValue, "too hot", []byte{3, 11, 0xff}); err != nil {
		t.Fatal(err)
	}
	if err := c.Reject(t.Context(), 0, device.RejectMalformed, "no number", []byte{3}); err != nil {
		t.Fatal(err)
	}
	// 9 and 10 are stored: a device that overwrote its buffer can't know.
	if err := c.Lost(t.Context(), &device.Lost{First: 9, Last: 14, Reason: device.LostOverwritten}); err != nil {
		t.Fatal(err)
	}
	c.Send(20)
	c.Await(append(numbers(1, 14), 20)...)
	want := ledger.Books{
		Frames: 11, Readings: 22, Duplicates: 3, Rejected: 2, Lost: 3, Holes: 5, Streams: 1,
		LastData: epoch.Add(20 * time.Second),
	}
	check := func(s *store.Store) {
		t.Helper()
		got := s.Ledger.Books("a")
		if got.LastReceived.IsZero() {
			t.Error("no time of receipt")
		}
		got.LastReceived, got.Base = time.Time{}, 0
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	}
	check(h.Store)
	if diff := cmp.Diff(device.Ranges{{First: 15, Last: 19}}, c.Holes(10)); diff != "" {
		t.Error(diff)
	}
	wantFrames(t, h.Store, "a", append(numbers(1, 10), 20))

	// A plug pulled now, before any checkpoint: the journal alone has to give the same books.
	cut := copyDir(t, h.Dir())
	check(start(t, store.Options{Dir: cut}).Store)
	// And with a checkpoint, and nothing behind it.
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	again := start(t, store.Options{Dir: h.Dir()})
	check(again.Store)
	c = connect(t, again.Store, "a", 7)
	if diff := cmp.Diff(device.Ranges{{First: 1, Last: 14}, {First: 20, Last: 20}}, c.Received(10)); diff != "" {
		t.Error(diff)
	}
	c.Send(1, 15)
	c.Await(1, 15)
	wantFrames(t, again.Store, "a", append(numbers(1, 10), 15, 20))
}
