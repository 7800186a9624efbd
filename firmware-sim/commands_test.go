package firmwaresim

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// startFleet runs devices of a profile until the test ends.
func startFleet(t *testing.T, h *childHub, p Profile, count int, rate float64) (*fleet, []Credential) {
	t.Helper()
	target, credentials := addDevices(t, h, count)
	f, err := newFleet(fleetConfig{
		target: target, credentials: credentials, profiles: []Profile{p}, rate: rate, seed: 1, logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return f.run(ctx) })
	g.Go(func() error { return f.measure(ctx) })
	t.Cleanup(func() {
		stop()
		if err := errors.Join(g.Wait(), f.close()); err != nil {
			t.Error(err)
		}
	})
	await(t, "all are connected", func() bool { return f.totals().Connected == count && f.totals().Acked >= uint64(count) })
	return f, credentials
}

// newest is the newest reading of a channel.
func newest(t *testing.T, h *childHub, id, channel string) (value string) {
	t.Helper()
	err := h.readings(t.Context(), id, func(r reading) {
		if r.channel == channel {
			value = r.value
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Simulated devices do what they say they can, against the real program and through its command line.
func TestDevicesObey(t *testing.T) {
	h := startHub(t)
	f, credentials := startFleet(t, h, officeProfile(), 1, 20)
	id := credentials[0].Device
	want := func(state string, args ...string) hubCommand {
		t.Helper()
		c, err := h.send(t.Context(), id, append(args, "--wait")...)
		if c.State != state || (err == nil) != (state == "succeeded") {
			t.Errorf("%v: %s %q, %v; want %s", args, c.State, c.Text, err, state)
		}
		return c
	}
	want("succeeded", "blink")
	want("failed", "fail")
	want("succeeded", "answer_twice")
	want("succeeded", "set_setpoint", "celsius=30.5")
	await(t, "the setpoint is reported", func() bool { return newest(t, h, id, "setpoint") == "30.5" })
	await(t, "the room is warm", func() bool {
		celsius, err := strconv.ParseFloat(newest(t, h, id, "temperature"), 64)
		return err == nil && math.Abs(celsius-30.5) < 0.5
	})
	if _, err := h.send(t.Context(), id, "set_setpoint", "celsius=99"); err == nil {
		t.Error("a setpoint of 99 °C was accepted")
	}

	want("succeeded", "set_interval", "seconds=600")
	slow := f.totals().Created
	want("succeeded", "answer_late", "seconds=0.5")
	if n := f.totals().Created; n > slow {
		t.Errorf("%d frames, then %d", slow, n)
	}
	want("succeeded", "set_interval", "seconds=0.1")
	await(t, "it measures faster", func() bool { return f.totals().Created > slow+10 })

	// It never answers; when it is asked, in the next life, it cannot know.
	want("unknown", "never_answer", "--ttl", "1s")
	connects := f.members[0].stats().Connects
	want("succeeded", "reboot")
	await(t, "it is away", func() bool { return f.totals().Connected == 0 })
	await(t, "it is back", func() bool { return f.totals().Connected == 1 })
	if n := f.members[0].stats().Connects; n != 1 || connects == 0 {
		t.Errorf("%d connections since the reboot", n)
	}
	if lost := f.totals().Lost; lost > 0 {
		t.Errorf("%d frames were lost", lost)
	}
	await(t, "the setpoint is forgotten", func() bool {
		c, err := h.send(t.Context(), id, "blink", "--wait")
		return err == nil && c.State == "succeeded"
	})
}

// A desired value survives the restart of both ends.
func TestDesiredValueSurvivesBothEnds(t *testing.T) {
	h := startHub(t)
	_, credentials := startFleet(t, h, officeProfile(), 1, 20)
	id := credentials[0].Device
	inSync := func() bool {
		list, err := h.settings(t.Context(), id)
		return err == nil && len(list) == 1 && list[0].Status == "in_sync" && list[0].Reported == 24.5
	}
	if err := h.desire(t.Context(), id, "setpoint", "24.5"); err != nil {
		t.Fatal(err)
	}
	await(t, "it is in sync", inSync)
	if _, err := h.send(t.Context(), id, "set_setpoint", "celsius=10", "--wait"); err != nil {
		t.Fatal(err)
	}
	await(t, "it is in sync again", inSync)
	h.kill()
	if err := h.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.send(t.Context(), id, "reboot", "--wait"); err != nil {
		t.Fatal(err)
	}
	await(t, "the device has forgotten, and was told", func() bool {
		list, err := h.commands(t.Context())
		return err == nil && len(list) > 0 && list[0].Name == "set" && list[0].State == "succeeded" && inSync()
	})
	if err := h.desire(t.Context(), id, "setpoint", "40"); err != nil {
		t.Fatal(err)
	}
	await(t, "it is refused", func() bool {
		list, err := h.settings(t.Context(), id)
		return err == nil && len(list) == 1 && list[0].Status == "refused" && list[0].Reason == "from 5 to 35 °C only"
	})
}

// Without a setpoint the room is left alone, with one it follows.
func TestRoomFollowsItsSetpoint(t *testing.T) {
	p := officeProfile()
	c := &controls{}
	generate := p.start(rand.New(rand.NewPCG(1, 0)), c)
	d := newFrame(p.Schema, 1)
	celsius := func(frames int) float64 {
		for range frames {
			generate(time.Unix(0, 0), d)
		}
		return float64(int64(d.Columns[0].Bits[0])) / 100
	}
	if at := celsius(100); at < 15 || at > 25 || d.Columns[4].Present[0] {
		t.Errorf("%g °C, setpoint reported: %v", at, d.Columns[4].Present)
	}
	c.setpoint = 33
	if at := celsius(200); math.Abs(at-33) > 0.5 || !d.Columns[4].Present[0] || d.Columns[4].Bits[0] != 330 {
		t.Errorf("%g °C, setpoint %d", at, d.Columns[4].Bits[0])
	}
}
