package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// follow follows s and hands on what comes, in words, until the test's end. It has begun when it returns.
func follow(t *testing.T, s *store.Store) <-chan string {
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan string, 1000)
	var task sync.WaitGroup
	task.Go(func() {
		s.Tails.Follow(ctx, func(c *tail.Entry) {
			switch c.Kind {
			case tail.KindFrame:
				d, err := c.Data()
				if err != nil {
					t.Error(err)
					return
				}
				told <- fmt.Sprintf("frame %s %d %v %d %d %v", c.Device, d.Seq, c.Source.Schema.Channels[0].Name, d.Columns[0].Bits[0], c.Timing.Offset, c.Timing.Quality)
			case tail.KindReject:
				told <- fmt.Sprintf("reject %s %d %v %s", c.Device, c.Seq, c.Code, c.Text)
			case tail.KindLost:
				told <- fmt.Sprintf("lost %s %d-%d %v", c.Device, c.First, c.Last, c.Reason)
			case tail.KindBoot:
				told <- fmt.Sprintf("boot %s %d", c.Device, c.Boot)
			case tail.KindRemoval:
				told <- "removal " + c.Device
			case tail.KindGap, tail.KindOverleap, tail.KindUnreadable:
				told <- fmt.Sprint(c.Kind)
			}
		})
	})
	t.Cleanup(func() { cancel(); task.Wait() })
	in := s.Ledger.Ingest("starter", 1, func() {})
	for began := false; !began; { // it begins at the end of the journal as that is then
		if err := in.Boot(t.Context(), 1, 0, s.Clock().Base()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-told:
			began = true
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := in.Boot(t.Context(), 2, 0, s.Clock().Base()); err != nil {
		t.Fatal(err)
	}
	for next(t, told) != "boot starter 2" {
	}
	return told
}

func next(t *testing.T, told <-chan string) string {
	t.Helper()
	select {
	case s := <-told:
		return s
	case <-time.After(20 * time.Second):
		t.Fatal("nothing is told")
		return ""
	}
}

func TestFollow(t *testing.T) {
	h := start(t, store.Options{})
	if _, err := h.Devices.Add([]devices.NewDevice{{ID: "a"}}); err != nil {
		t.Fatal(err)
	}
	c := connect(t, h.Store, "a", 7)
	message, d := data(1)
	if err := c.Frame(t.Context(), message, d, tail.Timing{}); err != nil { // before anybody follows
		t.Fatal(err)
	}
	if err := h.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	told := follow(t, h.Store)
	message, d = data(2)
	for range 2 { // the second is a duplicate, and of no interest
		if err := c.Frame(t.Context(), message, d, tail.Timing{Offset: -5, Quality: tail.QualityConverted}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Reject(t.Context(), 3, device.RejectBadValue, "too hot", []byte{2}); err != nil {
		t.Fatal(err)
	}
	if err := c.Lost(t.Context(), &device.Lost{First: 4, Last: 9, Reason: device.LostOverwritten}); err != nil {
		t.Fatal(err)
	}
	if err := c.Boot(t.Context(), 12, 1, h.Clock().Base()); err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 5 {
		got = append(got, next(t, told))
	}
	want := []string{
		"frame a 2 temperature 2002 -5 1", "reject a 3 bad value too hot", "lost a 4-9 overwritten", "boot a 12", "removal a",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

// Nobody waits for one who follows.
func TestFollowerThatHangs(t *testing.T) {
	h := start(t, store.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	entered, leave := make(chan struct{}), make(chan struct{})
	var task sync.WaitGroup
	var once sync.Once
	task.Go(func() {
		h.Tails.Follow(ctx, func(*tail.Entry) { once.Do(func() { close(entered) }); <-leave })
	})
	defer task.Wait()
	defer cancel()
	defer close(leave)
	c := connect(t, h.Store, "a", 1)
	for seq, hanging := uint64(1), 0; hanging < 100; seq++ {
		message, d := data(seq)
		if err := c.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
		if err := h.Ledger.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-entered:
			hanging++
		default:
		}
	}
}

func TestRegistryVersion(t *testing.T) {
	h := start(t, store.Options{})
	version := h.Devices.Version()
	changes := func(what string, f func() error) {
		t.Helper()
		if err := f(); err != nil {
			t.Fatal(err)
		}
		if now := h.Devices.Version(); now == version {
			t.Errorf("%s does not change it", what)
		} else {
			version = now
		}
	}
	changes("registering", func() error { _, err := h.Devices.Add([]devices.NewDevice{{ID: "a"}}); return err })
	changes("HELLO", func() error { h.Devices.Note("a", &device.Hello{Firmware: "2"}); return nil })
	changes("revoking", func() error { return h.Devices.Revoke("a") })
	changes("removing", func() error { return h.RemoveDevice("a") })
	h.Devices.Note("a", &device.Hello{Firmware: "3"})
	if h.Devices.Version() != version {
		t.Error("a stranger changes it")
	}
}
