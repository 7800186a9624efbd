package commands

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

func TestCommandIsStoredAndSettled(t *testing.T) {
	r := newRig(t, "a")
	n := New{Device: "a", Name: "count", Args: map[string]any{"n": 3.0, "note": "x"}, By: "ada", From: "10.0.0.1"}
	c := r.send(n)
	if c.State != Queued || c.Number != 1 || c.Deadline.Sub(c.Created) != DefaultTTL || c.Args["n"] != int64(3) {
		t.Errorf("%+v", c)
	}
	r.restart("a")
	got := r.want(c.ID, Queued, "")
	if diff := cmp.Diff(c, got, cmp.AllowUnexported(Command{})); diff != "" {
		t.Error(diff)
	}
	r.pass(time.Second)
	d := r.Delivery("a", 7)
	sent := r.exchange(d)
	if len(sent) != 1 || sent[0].ID != c.ID || sent[0].State != Sent {
		t.Fatalf("%+v", sent)
	}
	m := sent[0].Message(r.now())
	if m.TTL != 29_000 || m.Deadline != c.Deadline.UnixMicro() || m.Name != "count" || m.Args["n"] != int64(3) {
		t.Errorf("%+v", m)
	}
	if again := r.exchange(d); len(again) != 0 {
		t.Errorf("sent twice on one connection: %+v", again)
	}
	result := &device.Result{ID: c.ID, Status: device.ResultSucceeded, Text: "done", Values: map[string]any{"rpm": 1.5, "n": int64(2)}}
	r.exchange(d, result)
	result = &device.Result{ID: c.ID, Status: device.ResultFailed, Text: "another answer"}
	r.exchange(d, result)
	r.restart("a")
	got = r.want(c.ID, Succeeded, "done")
	if got.By != "ada" || got.From != "10.0.0.1" || got.Values["rpm"] != 1.5 || got.Values["n"] != int64(2) || !got.Sent.Equal(r.now()) {
		t.Errorf("%+v", got)
	}
	trail, err := r.trail.Entries(audit.Filter{Device: "a"})
	if err != nil || len(trail) != 3 {
		t.Fatalf("%+v, %v", trail, err)
	}
	for i, want := range []audit.Entry{
		{By: "a", Action: "command succeeded", Text: `count (n=3, note="x"): done`},
		{By: "hub", Action: "command sent", Text: `count (n=3, note="x")`},
		{By: "ada", From: "10.0.0.1", Action: "command queued", Text: `count (n=3, note="x")`},
	} {
		e := trail[i]
		if e.By != want.By || e.From != want.From || e.Action != want.Action || e.Text != want.Text || e.Command != c.ID || e.Number != uint64(3-i) {
			t.Errorf("%+v, want %+v", e, want)
		}
	}
}

func TestTheSameIDIsTheSameCommand(t *testing.T) {
	r := newRig(t, "a", "b")
	n := New{ID: device.NewCommandID(), Device: "a", Name: "count", Args: map[string]any{"n": int64(1)}}
	first := r.send(n)
	r.exchange(r.Delivery("a", 1), &device.Result{ID: n.ID})
	r.exchange(r.Delivery("a", 1), &device.Result{ID: n.ID})
	n.TTL = time.Hour // not part of what it is
	again := r.send(n)
	if again.Number != first.Number || again.State != Succeeded {
		t.Errorf("%+v", again)
	}
	for _, other := range []New{
		{ID: n.ID, Device: "b", Name: "count", Args: n.Args},
		{ID: n.ID, Device: "a", Name: "blink"},
		{ID: n.ID, Device: "a", Name: "count", Args: map[string]any{"n": int64(2)}},
	} {
		if _, err := r.Send(other); !errors.Is(err, ErrConflict) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if list, err := r.List(Filter{}); err != nil || len(list) != 1 {
		t.Errorf("%d commands, %v", len(list), err)
	}
}

func TestCommandsThatAreRefused(t *testing.T) {
	r := newRig(t, "a", "b")
	r.registered["silent"] = Device{}
	r.registered["b"] = Device{Revoked: true}
	args := func(kv ...any) map[string]any { return map[string]any{kv[0].(string): kv[1]} }
	for _, c := range []struct {
		n          New
		text, hint string
	}{
		{New{Device: "a", Name: "explode"}, `a has no command "explode"`, "blink, reboot, set_setpoint, count"},
		{New{Device: "a", Name: "set", Args: args("setpoint", 20.0)}, `no command "set"`, "desired value"},
		{New{Device: "a", Name: "set_setpoint"}, `"celsius" is missing`, "celsius (a number from 5 to 35, Cel)"},
		{New{Device: "a", Name: "set_setpoint", Args: args("celsius", 36.0)}, "at most 35", "from 5 to 35"},
		{New{Device: "a", Name: "set_setpoint", Args: args("celsius", "warm")}, "must be a number", ""},
		{New{Device: "a", Name: "count", Args: args("n", 1.5)}, "must be a whole number", "n (a whole number), note (a text, optional)"},
		{New{Device: "a", Name: "blink", Args: args("n", true)}, `there is no argument "n"`, "blink takes no arguments"},
		{New{Device: "a", Name: "blink", TTL: time.Millisecond}, "time to live of 1ms", "from 1s to 7 days"},
		{New{Device: "a", Name: "blink", TTL: 8 * 24 * time.Hour}, "time to live", ""},
		{New{Device: "a", Name: "count", Args: map[string]any{"n": int64(1), "note": strings.Repeat("x", 2000)}}, "1024", ""},
		{New{Device: "silent", Name: "blink"}, "the commands of silent are not known", "when it connects"},
		{New{Device: "b", Name: "blink"}, "b is revoked", "device rotate"},
	} {
		_, err := r.Send(c.n)
		e, ok := errors.AsType[*Error](err)
		if !ok || !errors.Is(err, ErrBad) || !strings.Contains(e.Text, c.text) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%+v: %#v, want %q, %q", c.n, err, c.text, c.hint)
		}
	}
	if _, err := r.Send(New{Device: "nobody", Name: "blink"}); !errors.Is(err, errNoDevice) {
		t.Errorf("nobody: %v", err)
	}
	if list, err := r.List(Filter{}); err != nil || len(list) != 0 {
		t.Errorf("%d commands were stored, %v", len(list), err)
	}
}

func TestCancelOnlyWhileQueued(t *testing.T) {
	r := newRig(t, "a")
	c := r.send(New{Device: "a", Name: "reboot"})
	if got, err := r.Cancel(c.ID, "ada", ""); err != nil || got.State != Cancelled {
		t.Errorf("%+v, %v", got, err)
	}
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("sent %+v", sent)
	}
	c = r.send(New{Device: "a", Name: "reboot"})
	r.exchange(r.Delivery("a", 1))
	if _, err := r.Cancel(c.ID, "ada", ""); !errors.Is(err, ErrTooLate) {
		t.Errorf("a sent one: %v", err)
	}
	if _, err := r.Cancel(device.NewCommandID(), "ada", ""); !errors.Is(err, ErrNone) {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestNewerCommandsSupersedeOlderQueuedOnes(t *testing.T) {
	r := newRig(t, "a")
	set := func(celsius float64) Command {
		return r.send(New{Device: "a", Name: "set_setpoint", Args: map[string]any{"celsius": celsius}})
	}
	first := set(20)
	r.exchange(r.Delivery("a", 1)) // on its way
	second := set(21)
	blink := r.send(New{Device: "a", Name: "blink"})
	third := set(22)
	r.want(first.ID, Sent, "")
	r.want(second.ID, Cancelled, "superseded by "+third.ID.String())
	r.want(blink.ID, Queued, "")
	r.want(third.ID, Queued, "")
}

func TestAwaitCommand(t *testing.T) {
	r := newRig(t, "a")
	c := r.send(New{Device: "a", Name: "blink"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := r.Await(ctx, c.ID); err != nil || got.State != Queued {
		t.Errorf("%+v, %v", got, err)
	}
	done := make(chan Command, 1)
	go func() {
		got, err := r.Await(t.Context(), c.ID)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	d := r.Delivery("a", 1)
	r.exchange(d)
	r.exchange(d, &device.Result{ID: c.ID})
	if got := <-done; got.State != Succeeded {
		t.Errorf("%+v", got)
	}
}

func TestArgumentsFromText(t *testing.T) {
	r := newRig(t, "a")
	got := r.ParseArgs("a", "count", map[string]string{"n": "12", "note": "12", "else": "1"})
	if want := map[string]any{"n": int64(12), "note": "12", "else": "1"}; !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := r.ParseArgs("a", "set_setpoint", map[string]string{"celsius": "21"}); got["celsius"] != 21.0 {
		t.Errorf("%v", got)
	}
}
