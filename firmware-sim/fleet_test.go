package firmwaresim

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// Each device measures at the rate asked for, and not together with the others.
func TestRota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const devices, rate, seconds = 4, 5.0, 10
		start := time.Now()
		turns := make([][]time.Duration, devices)
		var measure []func(time.Time) error
		for i := range devices {
			measure = append(measure, func(at time.Time) error {
				turns[i] = append(turns[i], at.Sub(start))
				return nil
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
		defer cancel()
		if err := newSchedule(rate, measure).run(ctx); err != nil {
			t.Fatal(err)
		}
		for i, times := range turns {
			if n := len(times); n < seconds*rate-1 || n > seconds*rate+1 {
				t.Errorf("device %d measured %d times", i, n)
			}
			for k, at := range times {
				if want := time.Duration(k)*200*time.Millisecond + time.Duration(i)*50*time.Millisecond; at != want {
					t.Fatalf("device %d: turn %d at %v, want %v", i, k, at, want)
				}
			}
		}
	})
}

func TestRotaStopsAtAnError(t *testing.T) {
	failed := errors.New("failed")
	err := newSchedule(1000, []func(time.Time) error{func(time.Time) error { return failed }}).run(t.Context())
	if !errors.Is(err, failed) {
		t.Error(err)
	}
}

// A device that wanders off connects again and again, and comes home for the end with everything it has measured.
func TestWanderer(t *testing.T) {
	h := startHub(t)
	target, credentials := addDevices(t, h, 1)
	p := trackerProfile()
	p.Online, p.Offline = 300*time.Millisecond, 300*time.Millisecond
	f, err := newFleet(fleetConfig{
		target: target, credentials: credentials, profiles: []Profile{p}, rate: 50, seed: 1, logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	measuring, enough := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return f.run(ctx) })
	ended := make(chan struct{})
	g.Go(func() error { defer close(ended); return f.measure(measuring) })
	await(t, "it has left and returned twice", func() bool { return f.members[0].stats().Connects >= 3 })
	// Out of reach it goes on measuring.
	await(t, "it is away with a backlog", func() bool {
		s := f.members[0].stats()
		return !s.Connected && s.Unacked > 5
	})
	enough()
	<-ended
	if err := f.drainFor(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := errors.Join(g.Wait(), f.close()); err != nil {
		t.Fatal(err)
	}
	if err := f.totals().settled(); err != nil {
		t.Error(err)
	}
}

func TestParseSpeed(t *testing.T) {
	for _, c := range []struct {
		text string
		want float64
	}{{"max", 0}, {"1x", 1}, {"60", 60}, {"0.5x", 0.5}} {
		if got, err := ParseSpeed(c.text); err != nil || got != c.want {
			t.Errorf("%s: %g, %v", c.text, got, err)
		}
	}
	for _, bad := range []string{"", "x", "0x", "-1x", "NaN", "inf", "fast", "60xx"} {
		if got, err := ParseSpeed(bad); err == nil {
			t.Errorf("%q was taken for %g", bad, got)
		}
	}
}

func TestTotalsSettled(t *testing.T) {
	good := Totals{Created: 3, Acked: 3}
	if err := good.settled(); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		t    Totals
		want string
	}{
		{Totals{Created: 3, Acked: 2, Unacked: 1, LastError: "refused"}, "refused"},
		{Totals{Created: 3, Acked: 2, Rejected: 1}, "rejected"},
		{Totals{Created: 3, Acked: 2, Lost: 1}, "lost"},
	} {
		if err := c.t.settled(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.t, err)
		}
	}
}

// Not on a terminal, each line stands by itself.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := Progress{w: &out}
		p.say("%d rows", 7)
		stop := p.follow(func() string { return "going on" })
		time.Sleep(2500 * time.Millisecond)
		stop()
		if got := out.String(); got != "7 rows\ngoing on\ngoing on\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestProgressOnTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := Progress{w: &out, terminal: true, fd: -1}
		stop := p.follow(func() string { return "going on" })
		time.Sleep(2500 * time.Millisecond)
		stop()
		if got := out.String(); got != "\r\x1b[Kgoing on\r\x1b[Kgoing on\n" {
			t.Errorf("%q", got)
		}
	})
}

func TestProgressOfAFile(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if NewProgress(f).terminal {
		t.Error("a file was taken for a terminal")
	}
	Progress{}.follow(func() string { panic("shown") })()
}
