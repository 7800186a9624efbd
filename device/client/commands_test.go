package client

import (
	"context"
	"math"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// blink is a command with a day to live.
func blink(id byte) *device.Command {
	return &device.Command{ID: device.CommandID{id}, Name: "blink",
		Deadline: time.Now().Add(24 * time.Hour).UnixMicro(), TTL: 24 * 3600 * 1000}
}

func TestCommandIsCarriedOutOnceAndItsResultRepeated(t *testing.T) {
	for name, path := range map[string]string{"memory": "", "disk": filepath.Join(t.TempDir(), "buffer")} {
		t.Run(name, func(t *testing.T) {
			h := newFakeHub(t)
			cfg := h.config()
			cfg.BufferPath = path
			var done atomic.Int32
			cfg.OnCommand = func(_ context.Context, cmd device.Command) device.Result {
				return device.Result{Text: "ok", Values: map[string]any{"times": int(done.Add(1)), "long": long(cmd)}}
			}
			_, stop := h.startDevice(cfg)
			hc := h.accept()
			hc.welcome(nil)
			hc.send(blink(1))
			want := &device.Result{ID: device.CommandID{1}, Text: "ok", Values: map[string]any{"times": int64(1), "long": ""}}
			if diff := cmp.Diff(want, expect[*device.Result](hc)); diff != "" {
				t.Error(diff)
			}
			hc.send(blink(1))
			if diff := cmp.Diff(want, expect[*device.Result](hc)); diff != "" {
				t.Error(diff)
			}
			hc.send(blink(2)) // with a long result: remembered without values
			if r := expect[*device.Result](hc); len(r.Values) != 2 {
				t.Errorf("%+v", r)
			}
			if path == "" {
				return
			}

			stop()
			h.startDevice(cfg)
			hc = h.accept()
			hc.welcome(nil)
			hc.send(blink(1))
			if diff := cmp.Diff(want, expect[*device.Result](hc)); diff != "" {
				t.Error(diff)
			}
			hc.send(blink(2))
			if r := expect[*device.Result](hc); r.Text != "ok" || r.Values != nil {
				t.Errorf("%+v", r)
			}
			if n := done.Load(); n != 2 {
				t.Errorf("carried out %d commands", n)
			}
		})
	}
}

// long is a string that makes the result of command 2 too long to be remembered.
func long(cmd device.Command) string {
	if cmd.ID[0] != 2 {
		return ""
	}
	return string(make([]byte, device.MaxString))
}

func TestCommandsThatAreNotCarriedOut(t *testing.T) {
	h := newFakeHub(t)
	cfg := h.config()
	cfg.OnCommand = func(context.Context, device.Command) device.Result {
		t.Error("carried out")
		return device.Result{}
	}
	h.startDevice(cfg)
	hc := h.accept()
	now := time.Now()
	hc.welcome(nil, func(w *device.Welcome) { w.Now = now.Add(-24 * time.Hour).UnixMicro() }) // a hub whose clock is a day late
	for name, c := range map[string]struct {
		change func(*device.Command)
		want   device.ResultStatus
	}{
		"unknown":  {func(c *device.Command) { c.Name = "explode" }, device.ResultRejected},
		"deadline": {func(c *device.Command) { c.Deadline = now.Add(-25 * time.Hour).UnixMicro() }, device.ResultExpired},
		"ttl":      {func(c *device.Command) { c.TTL = 0 }, device.ResultExpired},
	} {
		cmd := blink(name[0])
		c.change(cmd)
		hc.send(cmd)
		if r := expect[*device.Result](hc); r.Status != c.want || r.ID != cmd.ID {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestTimeLeft(t *testing.T) {
	const hour = int64(time.Hour / time.Microsecond)
	for _, c := range []struct {
		ttl      uint32
		deadline int64
		now      int64
		want     time.Duration
	}{
		{1000, hour, 0, time.Second},
		{1000, hour, hour - 1, time.Microsecond}, // it was long on the way
		{1000, hour, hour, 0},
		{0, hour, 0, 0},
		{1000, math.MaxInt64, math.MinInt64, time.Second},
		{1000, math.MinInt64, math.MaxInt64, 0},
	} {
		if got := timeLeft(&device.Command{TTL: c.ttl, Deadline: c.deadline}, c.now); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// A command that waits for the one before may expire meanwhile.
func TestCommandExpiresInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		cfg := h.config()
		cfg.OnCommand = func(context.Context, device.Command) device.Result {
			time.Sleep(time.Minute)
			return device.Result{}
		}
		_, stop := h.startDevice(cfg)
		defer stop()
		hc := h.accept()
		hc.welcome(nil)
		short := blink(2)
		short.TTL = 59_000
		hc.send(blink(1))
		hc.send(short)
		hc.send(blink(3))
		for id, want := range []device.ResultStatus{device.ResultSucceeded, device.ResultExpired, device.ResultSucceeded} {
			if r := nextResult(hc); r.Status != want || r.ID[0] != byte(id+1) {
				t.Errorf("%d: %+v", id+1, r)
			}
		}
		hc.cut()
	})
}

// nextResult waits as long as it takes.
func nextResult(hc *hubConn) *device.Result {
	hc.t.Helper()
	m, err := device.ParseControl(<-hc.in)
	if err != nil {
		hc.t.Fatal(err)
	}
	return m.(*device.Result)
}

func TestResultsThatTheProtocolHasNoPlaceFor(t *testing.T) {
	many := map[string]any{}
	for i := range device.MaxArgs + 1 {
		many[string(rune('a'+i))] = true
	}
	for name, values := range map[string]map[string]any{
		"struct": {"a": struct{}{}}, "too many": many, "nil": {"a": nil}, "long": {"a": string(make([]byte, device.MaxString+1))},
	} {
		b := encodeResult(device.CommandID{1}, device.Result{Values: values})
		m, err := device.ParseControl(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r := m.(*device.Result); r.Values != nil || r.Text == "" || r.Status != device.ResultSucceeded {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestKnownCommandsAreBounded(t *testing.T) {
	c := newTestClient(1 << 20)
	release := make(chan struct{})
	c.cfg.OnCommand = func(context.Context, device.Command) device.Result { <-release; return device.Result{} }
	give := func(name string, kind byte, n int) {
		for i := range n {
			cmd := blink(kind)
			cmd.Name, cmd.ID[1], cmd.ID[2] = name, byte(i>>8), byte(i)
			c.takeCommand(t.Context(), cmd, time.Hour)
		}
	}
	give("blink", 1, 100) // all but the first 64 are turned away, and not remembered
	give("blink", 1, 100) // again
	cs := &c.commands
	if len(cs.known) != maxQueuedCommands || len(cs.queue) != maxQueuedCommands || len(cs.replies) != 2*(100-maxQueuedCommands) {
		t.Errorf("%d known, %d queued, %d replies", len(cs.known), len(cs.queue), len(cs.replies))
	}
	give("explode", 2, 2*maxKnownCommands)
	close(release)
	c.tasks.Wait()
	give("explode", 3, maxKnownCommands)
	if n := len(cs.known); n != maxKnownCommands || len(cs.order) != n || len(cs.replies) != maxKnownCommands {
		t.Errorf("%d known, %d in order, %d replies", n, len(cs.order), len(cs.replies))
	}
	size := 0
	for _, k := range cs.known {
		size += len(k.result)
	}
	if size != cs.stored {
		t.Errorf("%d bytes stored, counted %d", size, cs.stored)
	}
}

// The hub does not count the results that it asks for on a connection. It allows few others: those of an earlier connection.
func TestResultsOfAnEarlierConnectionArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		c, stop := h.startDevice(h.config())
		defer stop()
		c.mu.Lock()
		for range 200 {
			c.commands.reply(device.AppendControl(nil, &device.Result{ID: device.CommandID{9}}))
		}
		c.mu.Unlock()
		hc := h.accept()
		hc.welcome(nil)
		start := time.Now()
		for i := range 200 {
			nextResult(hc)
			if soonest := time.Duration(i+1-controlBurst) * time.Second / controlRate; time.Since(start) < soonest {
				t.Fatalf("result %d after %v, want %v at least", i+1, time.Since(start), soonest)
			}
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
		start = time.Now()
		for range 200 {
			hc.send(blink(1))
		}
		for range 200 {
			nextResult(hc)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("what the hub asked for took %v", took)
		}
		hc.cut()
	})
}

func TestSettings(t *testing.T) {
	h := newFakeHub(t)
	cfg := h.config()
	cfg.Schema = &device.Schema{Channels: []device.Channel{
		{ID: 0, Name: "level", Type: device.Int, Writable: true}, {ID: 1, Name: "setpoint", Type: device.Int, Scale: -1, Writable: true},
		{ID: 2, Name: "temperature", Type: device.Int},
	}}
	type set struct {
		Channel string
		Value   any
	}
	var got []set
	cfg.OnSet = func(_ context.Context, ch device.Channel, value any) device.Result {
		got = append(got, set{ch.Name, value})
		return device.Result{Text: "set"}
	}
	h.startDevice(cfg)
	hc := h.accept()
	hc.welcome(nil)
	for i, c := range []struct {
		args map[string]any
		want device.ResultStatus
	}{
		{map[string]any{"level": int64(3)}, device.ResultSucceeded},
		{map[string]any{"setpoint": int64(21)}, device.ResultSucceeded},
		{map[string]any{"setpoint": 21.5}, device.ResultSucceeded},
		{map[string]any{"level": 1.5}, device.ResultRejected},
		{map[string]any{"temperature": int64(1)}, device.ResultRejected},
		{map[string]any{"level": int64(1), "setpoint": int64(1)}, device.ResultRejected},
		{nil, device.ResultRejected},
	} {
		cmd := blink(byte(i + 1))
		cmd.Name, cmd.Args = device.CommandSet, c.args
		hc.send(cmd)
		if r := expect[*device.Result](hc); r.Status != c.want {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	if diff := cmp.Diff([]set{{"level", int64(3)}, {"setpoint", 21.0}, {"setpoint", 21.5}}, got); diff != "" {
		t.Error(diff)
	}
}

// The time that WELCOME took on its way may not make a command live longer.
func TestSlowWelcomeDoesNotProlongCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		cfg := h.config()
		cfg.OnCommand = func(context.Context, device.Command) device.Result { return device.Result{} }
		_, stop := h.startDevice(cfg)
		defer stop()
		hc := h.accept()
		time.Sleep(2 * time.Second)
		hubNow := time.Now() // WELCOME is written, and takes 3 s
		time.Sleep(3 * time.Second)
		hc.welcome(nil, func(w *device.Welcome) { w.Now = hubNow.UnixMicro() })
		for id, want := range map[byte]device.ResultStatus{1: device.ResultExpired, 2: device.ResultSucceeded} {
			cmd := blink(id)
			cmd.Deadline = hubNow.Add(time.Duration(3+3*int(id-1)) * time.Second).UnixMicro()
			hc.send(cmd)
			if r := nextResult(hc); r.Status != want {
				t.Errorf("%d: %+v", id, r)
			}
		}
		hc.cut()
	})
}
