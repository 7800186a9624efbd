package commands

import (
	"context"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestExpiryAndLateAnswers(t *testing.T) {
	r := newRig(t, "a")
	never := r.send(New{Device: "a", Name: "blink", TTL: 2 * time.Second})
	late := r.send(New{Device: "a", Name: "reboot", TTL: time.Minute})
	r.pass(2 * time.Second)
	d := r.Delivery("a", 1)
	if sent := r.exchange(d); len(sent) != 1 || sent[0].ID != late.ID {
		t.Fatalf("%+v", names(sent))
	}
	r.want(never.ID, Expired, "did not connect in time")
	r.pass(time.Minute - 2*time.Second + answerTime - time.Millisecond)
	r.expire()
	r.want(late.ID, Sent, "")
	r.pass(time.Millisecond)
	r.expire()
	r.want(late.ID, Unknown, "did not answer in time")
	r.exchange(d, &device.Result{ID: late.ID, Status: device.ResultFailed, Text: "at last"})
	r.want(late.ID, Failed, "at last")

	long := r.send(New{Device: "a", Name: "reboot", TTL: 24 * time.Hour})
	r.exchange(d)
	r.pass(mostAnswerTime)
	r.expire()
	r.want(long.ID, Unknown, "")
	r.restart("a")
	// Its time is not over: the device may still be told, or asked.
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 1 || sent[0].ID != long.ID {
		t.Errorf("%+v", names(sent))
	}
}

func TestRemovedDeviceGetsNothing(t *testing.T) {
	r := newRig(t, "a")
	sent := r.send(New{Device: "a", Name: "reboot"})
	r.exchange(r.Delivery("a", 1))
	queued := r.send(New{Device: "a", Name: "blink"})
	if err := r.Remove("a"); err != nil {
		t.Fatal(err)
	}
	r.restart("a")
	r.want(sent.ID, Unknown, "removed")
	r.want(queued.ID, Cancelled, "removed")
}

// While the store runs, deadlines are kept by themselves, however much happens meanwhile.
func TestDeadlinesAreKeptUnderLoad(t *testing.T) {
	b := open(t, t.TempDir(), time.Now, "a", "b").Book
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); b.Run(ctx) }()
	c, err := b.Send(New{Device: "a", Name: "blink", TTL: minTTL})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); c.State == Queued; {
		if time.Now().After(deadline) {
			t.Fatal("it does not expire")
		}
		busy, err := b.Send(New{Device: "b", Name: "blink"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Cancel(busy.ID, "ada", ""); err != nil {
			t.Fatal(err)
		}
		if c, err = b.Get(c.ID); err != nil {
			t.Fatal(err)
		}
	}
	if c.State != Expired || c.Changed.Before(c.Deadline) {
		t.Errorf("%+v", c)
	}
	stop()
	<-ended
}

// TestRemovedMeanwhile: a device is removed when it has just been looked up for a command, and for what a connection is to be given.
func TestRemovedMeanwhile(t *testing.T) {
	for name, use := range map[string]func(r *rig) error{
		"send":     func(r *rig) error { _, err := r.Send(New{Device: "a", Name: "reboot"}); return err },
		"exchange": func(r *rig) error { _, _, err := r.Delivery("a", 1).Exchange(nil); return err },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "a")
			removed := make(chan error, 1)
			r.lookedUp = func() {
				r.lookedUp = nil
				delete(r.registered, "a")
				done := make(chan struct{})
				go func() { defer close(done); removed <- r.Remove("a") }()
				select {
				case <-done:
				case <-time.After(50 * time.Millisecond): // it waits for the change that is being made
				}
			}
			_ = use(r)
			if err := <-removed; err != nil {
				t.Fatal(err)
			}
			if list, err := r.List(Filter{States: []State{Queued, Sent}}); err != nil || len(list) > 0 {
				t.Errorf("still open: %+v, %v", list, err)
			}
			if n := len(r.Announced()); n > 0 {
				t.Errorf("%d schemas of devices", n)
			}
		})
	}
}
