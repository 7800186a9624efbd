package commands

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

// clock is a wall clock that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// commandRig is a store whose time stands still until a test moves it.
type commandRig struct {
	*Store
	t testing.TB
	*clock
	dir string
}

func newCommandRig(t testing.TB, devices ...string) *commandRig {
	c := newClock()
	r := &commandRig{t: t, clock: c, dir: t.TempDir()}
	r.Store = openForCommands(t, r.dir, c.now, devices...)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func (r *commandRig) now() time.Time { return r.clock.now() }

// restart closes and opens the store.
func (r *commandRig) restart(devices ...string) {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.Store = openForCommands(r.t, r.dir, r.clock.now, devices...)
}

func (r *commandRig) send(n NewCommand) Command {
	r.t.Helper()
	c, err := r.SendCommand(n)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// expire does what the store does by itself while it runs.
func (r *commandRig) expire() {
	r.t.Helper()
	if err := r.commands.do(func(ch *commandChange) error { ch.expire(); return nil }); err != nil {
		r.t.Fatal(err)
	}
}

func (r *commandRig) exchange(d *Delivery, results ...*device.Result) []Command {
	r.t.Helper()
	send, _, err := d.Exchange(results)
	if err != nil {
		r.t.Fatal(err)
	}
	return send
}

func (r *commandRig) want(id device.CommandID, state CommandState, text string) Command {
	r.t.Helper()
	c, err := r.Command(id)
	if err != nil || c.State != state || !strings.Contains(c.Text, text) {
		r.t.Errorf("%v: %s %q, %v; want %s %q", id, c.State, c.Text, err, state, text)
	}
	return c
}

func namesOf(list []Command) (names []string) {
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

func TestCommandIsStoredAndSettled(t *testing.T) {
	r := newCommandRig(t, "a")
	n := NewCommand{Device: "a", Name: "count", Args: map[string]any{"n": 3.0, "note": "x"}, By: "ada", From: "10.0.0.1"}
	c := r.send(n)
	if c.State != CommandQueued || c.Number != 1 || c.Deadline.Sub(c.Created) != DefaultCommandTTL || c.Args["n"] != int64(3) {
		t.Errorf("%+v", c)
	}
	r.restart("a")
	got := r.want(c.ID, CommandQueued, "")
	if diff := cmp.Diff(c, got, cmp.AllowUnexported(Command{})); diff != "" {
		t.Error(diff)
	}
	r.pass(time.Second)
	d := r.Delivery("a", 7)
	sent := r.exchange(d)
	if len(sent) != 1 || sent[0].ID != c.ID || sent[0].State != CommandSent {
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
	got = r.want(c.ID, CommandSucceeded, "done")
	if got.By != "ada" || got.From != "10.0.0.1" || got.Values["rpm"] != 1.5 || got.Values["n"] != int64(2) || !got.Sent.Equal(r.now()) {
		t.Errorf("%+v", got)
	}
	trail, err := r.Audit.Entries(audit.Filter{Device: "a"})
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
	r := newCommandRig(t, "a", "b")
	n := NewCommand{ID: device.NewCommandID(), Device: "a", Name: "count", Args: map[string]any{"n": int64(1)}}
	first := r.send(n)
	r.exchange(r.Delivery("a", 1), &device.Result{ID: n.ID})
	r.exchange(r.Delivery("a", 1), &device.Result{ID: n.ID})
	n.TTL = time.Hour // not part of what it is
	again := r.send(n)
	if again.Number != first.Number || again.State != CommandSucceeded {
		t.Errorf("%+v", again)
	}
	for _, other := range []NewCommand{
		{ID: n.ID, Device: "b", Name: "count", Args: n.Args},
		{ID: n.ID, Device: "a", Name: "blink"},
		{ID: n.ID, Device: "a", Name: "count", Args: map[string]any{"n": int64(2)}},
	} {
		if _, err := r.SendCommand(other); !errors.Is(err, ErrCommandConflict) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	if list, err := r.Commands(CommandFilter{}); err != nil || len(list) != 1 {
		t.Errorf("%d commands, %v", len(list), err)
	}
}

func TestCommandsThatAreRefused(t *testing.T) {
	r := newCommandRig(t, "a", "b")
	add, err := r.AddDevices([]NewDevice{{ID: "silent"}})
	if err != nil || len(add) != 1 {
		t.Fatal(err)
	}
	if err := r.RevokeDevice("b"); err != nil {
		t.Fatal(err)
	}
	args := func(kv ...any) map[string]any { return map[string]any{kv[0].(string): kv[1]} }
	for _, c := range []struct {
		n          NewCommand
		text, hint string
	}{
		{NewCommand{Device: "a", Name: "explode"}, `a has no command "explode"`, "blink, reboot, set_setpoint, count"},
		{NewCommand{Device: "a", Name: "set", Args: args("setpoint", 20.0)}, `no command "set"`, "desired value"},
		{NewCommand{Device: "a", Name: "set_setpoint"}, `"celsius" is missing`, "celsius (a number from 5 to 35, Cel)"},
		{NewCommand{Device: "a", Name: "set_setpoint", Args: args("celsius", 36.0)}, "at most 35", "from 5 to 35"},
		{NewCommand{Device: "a", Name: "set_setpoint", Args: args("celsius", "warm")}, "must be a number", ""},
		{NewCommand{Device: "a", Name: "count", Args: args("n", 1.5)}, "must be a whole number", "n (a whole number), note (a text, optional)"},
		{NewCommand{Device: "a", Name: "blink", Args: args("n", true)}, `there is no argument "n"`, "blink takes no arguments"},
		{NewCommand{Device: "a", Name: "blink", TTL: time.Millisecond}, "time to live of 1ms", "from 1s to 7 days"},
		{NewCommand{Device: "a", Name: "blink", TTL: 8 * 24 * time.Hour}, "time to live", ""},
		{NewCommand{Device: "a", Name: "count", Args: map[string]any{"n": int64(1), "note": strings.Repeat("x", 2000)}}, "1024", ""},
		{NewCommand{Device: "silent", Name: "blink"}, "not known what silent can be told", "when it connects"},
		{NewCommand{Device: "b", Name: "blink"}, "b is revoked", "device rotate"},
	} {
		_, err := r.SendCommand(c.n)
		e, ok := errors.AsType[*CommandError](err)
		if !ok || !errors.Is(err, ErrBadCommand) || !strings.Contains(e.Text, c.text) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%+v: %#v, want %q, %q", c.n, err, c.text, c.hint)
		}
	}
	if _, err := r.SendCommand(NewCommand{Device: "nobody", Name: "blink"}); !errors.Is(err, ErrNoDevice) {
		t.Errorf("nobody: %v", err)
	}
	if list, err := r.Commands(CommandFilter{}); err != nil || len(list) != 0 {
		t.Errorf("%d commands were stored, %v", len(list), err)
	}
}

func TestCancelOnlyWhileQueued(t *testing.T) {
	r := newCommandRig(t, "a")
	c := r.send(NewCommand{Device: "a", Name: "reboot"})
	if got, err := r.CancelCommand(c.ID, "ada", ""); err != nil || got.State != CommandCancelled {
		t.Errorf("%+v, %v", got, err)
	}
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("sent %+v", sent)
	}
	c = r.send(NewCommand{Device: "a", Name: "reboot"})
	r.exchange(r.Delivery("a", 1))
	if _, err := r.CancelCommand(c.ID, "ada", ""); !errors.Is(err, ErrCommandTooLate) {
		t.Errorf("a sent one: %v", err)
	}
	if _, err := r.CancelCommand(device.NewCommandID(), "ada", ""); !errors.Is(err, ErrNoCommand) {
		t.Errorf("an unknown one: %v", err)
	}
}

func TestNewerCommandsSupersedeOlderQueuedOnes(t *testing.T) {
	r := newCommandRig(t, "a")
	set := func(celsius float64) Command {
		return r.send(NewCommand{Device: "a", Name: "set_setpoint", Args: map[string]any{"celsius": celsius}})
	}
	first := set(20)
	r.exchange(r.Delivery("a", 1)) // on its way
	second := set(21)
	blink := r.send(NewCommand{Device: "a", Name: "blink"})
	third := set(22)
	r.want(first.ID, CommandSent, "")
	r.want(second.ID, CommandCancelled, "superseded by "+third.ID.String())
	r.want(blink.ID, CommandQueued, "")
	r.want(third.ID, CommandQueued, "")
}

func TestQueueOfADeviceIsBounded(t *testing.T) {
	r := newCommandRig(t, "a", "b")
	for range maxDeviceCommands {
		r.send(NewCommand{Device: "a", Name: "blink"})
	}
	if _, err := r.SendCommand(NewCommand{Device: "a", Name: "blink"}); !errors.Is(err, ErrCommandsFull) {
		t.Errorf("one more: %v", err)
	}
	r.send(NewCommand{Device: "b", Name: "blink"})
	// They go out in order, a few at a time.
	d, next := r.Delivery("a", 1), uint64(1)
	var results []*device.Result
	for next <= maxDeviceCommands {
		sent := r.exchange(d, results...)
		if len(sent) == 0 || len(sent) > commandWindow {
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
	if r.commands.open != 1 {
		t.Errorf("%d open", r.commands.open)
	}
}

func TestExpiryAndLateAnswers(t *testing.T) {
	r := newCommandRig(t, "a")
	never := r.send(NewCommand{Device: "a", Name: "blink", TTL: 2 * time.Second})
	late := r.send(NewCommand{Device: "a", Name: "reboot", TTL: time.Minute})
	r.pass(2 * time.Second)
	d := r.Delivery("a", 1)
	if sent := r.exchange(d); len(sent) != 1 || sent[0].ID != late.ID {
		t.Fatalf("%+v", namesOf(sent))
	}
	r.want(never.ID, CommandExpired, "did not connect in time")
	r.pass(time.Minute - 2*time.Second + answerTime - time.Millisecond)
	r.expire()
	r.want(late.ID, CommandSent, "")
	r.pass(time.Millisecond)
	r.expire()
	r.want(late.ID, CommandUnknown, "did not answer in time")
	r.exchange(d, &device.Result{ID: late.ID, Status: device.ResultFailed, Text: "at last"})
	r.want(late.ID, CommandFailed, "at last")

	long := r.send(NewCommand{Device: "a", Name: "reboot", TTL: 24 * time.Hour})
	r.exchange(d)
	r.pass(mostAnswerTime)
	r.expire()
	r.want(long.ID, CommandUnknown, "")
	r.restart("a")
	// Its time is not over: the device may still be told, or asked.
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 1 || sent[0].ID != long.ID {
		t.Errorf("%+v", namesOf(sent))
	}
}

// What a device may have begun and forgotten is not sent to it again.
func TestWhatIsSentAgain(t *testing.T) {
	r := newCommandRig(t, "a")
	reboot := r.send(NewCommand{Device: "a", Name: "reboot"})
	blink := r.send(NewCommand{Device: "a", Name: "blink"})
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 2 {
		t.Fatal(namesOf(sent))
	}
	r.restart("a")
	if sent := r.exchange(r.Delivery("a", 1)); !slices.Equal(namesOf(sent), []string{"reboot", "blink"}) {
		t.Errorf("to the same stream: %v", namesOf(sent))
	}
	if sent := r.exchange(r.Delivery("a", 2)); !slices.Equal(namesOf(sent), []string{"blink"}) {
		t.Errorf("to another stream: %v", namesOf(sent))
	}
	r.want(reboot.ID, CommandUnknown, "restarted")
	r.want(blink.ID, CommandSent, "")
	// An unknown one is asked about where it is remembered, even when its time is over.
	r.pass(time.Hour)
	r.expire()
	r.want(blink.ID, CommandUnknown, "")
	sent := r.exchange(r.Delivery("a", 1))
	if !slices.Equal(namesOf(sent), []string{"reboot", "blink"}) || sent[0].Message(r.now()).TTL != 0 {
		t.Errorf("after the deadline: %v", namesOf(sent))
	}
	d := r.Delivery("a", 1)
	r.exchange(d)
	// Not when the device need not remember it any more.
	silent := r.send(NewCommand{Device: "a", Name: "reboot", TTL: time.Hour})
	for range commandWindow {
		c := r.send(NewCommand{Device: "a", Name: "count", Args: map[string]any{"n": int64(1)}})
		r.exchange(d)
		r.exchange(d, &device.Result{ID: c.ID})
	}
	if sent := r.exchange(r.Delivery("a", 1)); len(sent) != 0 {
		t.Errorf("after %d others: %v", commandWindow, namesOf(sent))
	}
	r.want(silent.ID, CommandSent, "")
}

func TestAnswersOfOthersDoNotCount(t *testing.T) {
	r := newCommandRig(t, "a", "b")
	c := r.send(NewCommand{Device: "a", Name: "reboot"})
	r.exchange(r.Delivery("a", 1))
	r.exchange(r.Delivery("b", 1), &device.Result{ID: c.ID}, &device.Result{ID: device.NewCommandID()})
	r.want(c.ID, CommandSent, "")
}

func TestRemovedDeviceGetsNothing(t *testing.T) {
	r := newCommandRig(t, "a")
	sent := r.send(NewCommand{Device: "a", Name: "reboot"})
	r.exchange(r.Delivery("a", 1))
	queued := r.send(NewCommand{Device: "a", Name: "blink"})
	if _, err := r.SetDesired("a", "setpoint", 21.0, "ada", ""); err != nil {
		t.Fatal(err)
	}
	if err := r.forgetCommands("a"); err != nil {
		t.Fatal(err)
	}
	r.restart("a")
	r.want(sent.ID, CommandUnknown, "removed")
	r.want(queued.ID, CommandCancelled, "removed")
	if list := r.Desired("a"); len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestListsAndPages(t *testing.T) {
	r := newCommandRig(t, "a", "b")
	for i := range 30 {
		r.send(NewCommand{Device: []string{"a", "b"}[i%2], Name: "blink"})
		r.pass(time.Minute)
	}
	numbers := func(f CommandFilter) (n []uint64) {
		t.Helper()
		list, err := r.Commands(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			n = append(n, c.Number)
		}
		return n
	}
	for _, c := range []struct {
		f    CommandFilter
		want []uint64
	}{
		{CommandFilter{Limit: 3}, []uint64{30, 29, 28}},
		{CommandFilter{Limit: 3, Before: 28}, []uint64{27, 26, 25}},
		{CommandFilter{Device: "b", Limit: 2}, []uint64{30, 28}},
		{CommandFilter{Device: "b", Limit: 2, Before: 28}, []uint64{26, 24}},
		{CommandFilter{Device: "b", Before: 1}, nil},
		{CommandFilter{Since: r.now().Add(-2 * time.Minute)}, []uint64{30, 29}},
		{CommandFilter{States: []CommandState{CommandExpired}}, nil},
		{CommandFilter{Device: "nobody"}, nil},
	} {
		if got := numbers(c.f); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.f, got, c.want)
		}
	}
	r.exchange(r.Delivery("a", 1)) // all of them were too late but one
	if got := numbers(CommandFilter{States: []CommandState{CommandExpired}}); len(got) != 15 {
		t.Errorf("%d expired", len(got))
	}
}

// TestCountOfSettledCommandsIsBounded: the settled ones go by their number, not by their age; open ones stay.
func TestCountOfSettledCommandsIsBounded(t *testing.T) {
	r := newCommandRig(t, "a")
	open := r.send(NewCommand{Device: "a", Name: "blink", TTL: maxCommandTTL})
	for range (maxCommands + 3*pruneStep) / 500 {
		err := r.commands.do(func(ch *commandChange) error {
			for range 500 {
				c, err := ch.accept(&Command{ID: device.NewCommandID(), Device: "a", Name: "blink", Created: ch.now, Deadline: ch.now}, &device.CommandSpec{})
				if err != nil {
					return err
				}
				ch.apply(c, eventCancel, theHub, nil)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.want(open.ID, CommandQueued, "")
	if n := r.commands.kept.count - 1; n < maxCommands || n > maxCommands+pruneStep {
		t.Errorf("%d are kept", n)
	}
	if n := len(r.commands.index.numbers); n != r.commands.kept.count || n != len(r.commands.index.lists["a"]) {
		t.Errorf("%d are in the index, %d in the list, %d kept", n, len(r.commands.index.lists["a"]), r.commands.kept.count)
	}
}

// Many at once are written together, and each is told what became of it.
func TestChangesShareTransactions(t *testing.T) {
	r := newCommandRig(t, "a", "b")
	var told []Command
	stop := r.WatchCommands(func(c Command) { told = append(told, c) })
	defer stop()
	var wg sync.WaitGroup
	ids := make([]device.CommandID, 200)
	for i := range ids {
		ids[i] = device.NewCommandID()
		wg.Go(func() {
			c, err := r.SendCommand(NewCommand{ID: ids[i], Device: []string{"a", "b"}[i%2], Name: "blink"})
			if err != nil || c.ID != ids[i] {
				t.Errorf("%v, %v", c, err)
			}
		})
	}
	wg.Wait()
	if len(told) != len(ids) {
		t.Errorf("told of %d", len(told))
	}
	for i, c := range told {
		if c.Number != uint64(i+1) {
			t.Errorf("told of %d as the %dth", c.Number, i+1)
		}
	}
	stop()
	r.send(NewCommand{Device: "a", Name: "blink"})
	if len(told) != len(ids) {
		t.Error("told after stop")
	}
}

// If hub.db cannot be written, nothing has happened.
func TestFailedWriteChangesNothing(t *testing.T) {
	r := newCommandRig(t, "a")
	queued := r.send(NewCommand{Device: "a", Name: "blink"})
	before := r.commands.devices["a"].clone()
	r.WatchCommands(func(c Command) { t.Errorf("told of %+v", c) })
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	broken := bbolterrors.ErrDatabaseNotOpen
	if _, err := r.SendCommand(NewCommand{Device: "a", Name: "reboot"}); !errors.Is(err, broken) {
		t.Errorf("send: %v", err)
	}
	if _, err := r.CancelCommand(queued.ID, "ada", ""); !errors.Is(err, broken) {
		t.Errorf("cancel: %v", err)
	}
	d := r.Delivery("a", 1)
	if send, _, err := d.Exchange(nil); !errors.Is(err, broken) || send != nil {
		t.Errorf("exchange: %v, %v", send, err)
	}
	if diff := cmp.Diff(before, r.commands.devices["a"], cmp.AllowUnexported(deviceCommands{}, Command{})); diff != "" {
		t.Error(diff)
	}
	if alarms := r.Alarms.All(); len(alarms) != 1 {
		t.Errorf("%+v", alarms)
	}
}

func TestAwaitCommand(t *testing.T) {
	r := newCommandRig(t, "a")
	c := r.send(NewCommand{Device: "a", Name: "blink"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := r.AwaitCommand(ctx, c.ID); err != nil || got.State != CommandQueued {
		t.Errorf("%+v, %v", got, err)
	}
	done := make(chan Command, 1)
	go func() {
		got, err := r.AwaitCommand(t.Context(), c.ID)
		if err != nil {
			t.Error(err)
		}
		done <- got
	}()
	d := r.Delivery("a", 1)
	r.exchange(d)
	r.exchange(d, &device.Result{ID: c.ID})
	if got := <-done; got.State != CommandSucceeded {
		t.Errorf("%+v", got)
	}
}

func TestArgumentsFromText(t *testing.T) {
	r := newCommandRig(t, "a")
	got := r.ParseArgs("a", "count", map[string]string{"n": "12", "note": "12", "else": "1"})
	if want := map[string]any{"n": int64(12), "note": "12", "else": "1"}; !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := r.ParseArgs("a", "set_setpoint", map[string]string{"celsius": "21"}); got["celsius"] != 21.0 {
		t.Errorf("%v", got)
	}
}

// While the store runs, deadlines are kept by themselves, however much happens meanwhile.
func TestDeadlinesAreKeptUnderLoad(t *testing.T) {
	s := openForCommands(t, t.TempDir(), nil, "a", "b")
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	c, err := s.SendCommand(NewCommand{Device: "a", Name: "blink", TTL: minCommandTTL})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); c.State == CommandQueued; {
		if time.Now().After(deadline) {
			t.Fatal("it does not expire")
		}
		busy, err := s.SendCommand(NewCommand{Device: "b", Name: "blink"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CancelCommand(busy.ID, "ada", ""); err != nil {
			t.Fatal(err)
		}
		if c, err = s.Command(c.ID); err != nil {
			t.Fatal(err)
		}
	}
	if c.State != CommandExpired || c.Changed.Before(c.Deadline) {
		t.Errorf("%+v", c)
	}
	stop()
	if err := errors.Join(<-ran, s.Close()); err != nil {
		t.Error(err)
	}
}

// What a device can be told is known after a crash, before it is back.
func TestSchemaIsKnownAfterACrash(t *testing.T) {
	r := newCommandRig(t, "a")
	r.exchange(r.Delivery("a", 1))
	reopen := func() {
		t.Helper()
		if err := r.Close(); err != nil { // without a checkpoint
			t.Fatal(err)
		}
		var err error
		if r.Store, err = Open(Options{Dir: r.dir, Logger: slog.New(slog.DiscardHandler), Now: r.now}); err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	r.send(NewCommand{Device: "a", Name: "blink"})
	if err := r.forgetCommands("a"); err != nil {
		t.Fatal(err)
	}
	reopen()
	if _, err := r.SendCommand(NewCommand{Device: "a", Name: "blink"}); !errors.Is(err, ErrBadCommand) {
		t.Errorf("after it was forgotten: %v", err)
	}
}

// hub.db does not keep what was never there.
func TestNothingIsWrittenForNothing(t *testing.T) {
	r := newCommandRig(t, "a")
	size := func() int64 {
		info, err := os.Stat(filepath.Join(r.dir, "hub.db"))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().UnixNano()
	}
	r.exchange(r.Delivery("a", 1)) // says what the device can be told
	before := size()
	r.exchange(r.Delivery("a", 1))
	r.exchange(r.Delivery("a", 1), &device.Result{ID: device.NewCommandID()})
	r.expire()
	if size() != before {
		t.Error("hub.db was written")
	}
}
