package commands

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestQueueOfADeviceIsBounded(t *testing.T) {
	r := newRig(t, "a", "b")
	for range maxOfDevice {
		r.send(New{Device: "a", Name: "blink"})
	}
	if _, err := r.Send(New{Device: "a", Name: "blink"}); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
	r.send(New{Device: "b", Name: "blink"})
	// They go out in order, a few at a time.
	d, next := r.Delivery("a", 1), uint64(1)
	var results []*device.Result
	for next <= maxOfDevice {
		sent := r.exchange(d, results...)
		if len(sent) == 0 || len(sent) > window {
			t.Fatalf("%d at once", len(sent))
		}
		results = nil
		for _, c := range sent {
			if c.Number != next {
				t.Fatalf("number %d, want %d", c.Number, next)
			}
			next++
			results = append(results, &device.Result{ID: c.ID})
		}
	}
	r.exchange(d, results...)
	if r.open != 1 {
		t.Errorf("%d open", r.open)
	}
}

// What a device may have begun and forgotten is not sent to it again.
func TestWhatIsSentAgain(t *testing.T) {
	r := newRig(t, "a")
	reboot := r.send(New{Device: "a", Name: "reboot"})
	blink := r.send(New{Device: "a", Name: "blink"})
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 2 {
		t.Fatal(names(sent))
	}
	r.restart("a")
	if sent := r.exchange(r.Delivery("a", 1)); !slices.Equal(names(sent), []string{"reboot", "blink"}) {
		t.Errorf("to the same stream: %v", names(sent))
	}
	if sent := r.exchange(r.Delivery("a", 2)); !slices.Equal(names(sent), []string{"blink"}) {
		t.Errorf("to another stream: %v", names(sent))
	}
	r.want(reboot.ID, Unknown, "restarted")
	r.want(blink.ID, Sent, "")
	// An unknown one is asked about where it is remembered, even when its time is over.
	r.pass(time.Hour)
	r.expire()
	r.want(blink.ID, Unknown, "")
	sent := r.exchange(r.Delivery("a", 1))
	if !slices.Equal(names(sent), []string{"reboot", "blink"}) || sent[0].Message(r.now()).TTL != 0 {
		t.Errorf("after the deadline: %v", names(sent))
	}
	d := r.Delivery("a", 1)
	r.exchange(d)
	// Not when the device need not remember it any more.
	silent := r.send(New{Device: "a", Name: "reboot", TTL: time.Hour})
	for range window {
		c := r.send(New{Device: "a", Name: "count", Args: map[string]any{"n": int64(1)}})
		r.exchange(d)
		r.exchange(d, &device.Result{ID: c.ID})
	}
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("after %d others: %v", window, names(sent))
	}
	r.want(silent.ID, Sent, "")
}

func TestAnswersOfOthersDoNotCount(t *testing.T) {
	r := newRig(t, "a", "b")
	c := r.send(New{Device: "a", Name: "reboot"})
	r.exchange(r.Delivery("a", 1))
	r.exchange(r.Delivery("b", 1), &device.Result{ID: c.ID}, &device.Result{ID: device.NewCommandID()})
	r.want(c.ID, Sent, "")
}
