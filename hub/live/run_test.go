package live

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store"
)

// Everything at once, with real ticks: nothing races, nobody waits for a viewer, and all ends with ctx.
func TestRun(t *testing.T) {
	s, err := store.Open(store.Options{Dir: t.TempDir(), CommitWindow: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	c.at.Store(time.Now().UnixMicro())
	r := &rig{Feed: New(Config{Store: s, Logger: slog.New(slog.DiscardHandler), Tick: time.Millisecond, Now: c.now}), t: t, clock: c, devices: map[string]*testDevice{}}
	ids := []string{"a", "b", "c", "d"}
	r.add(ids...)
	ctx, cancel := context.WithCancel(t.Context())
	feeding, stopFeed := context.WithCancel(t.Context())
	var tasks, feed sync.WaitGroup
	tasks.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("store: %v", err)
		}
	})
	feed.Go(func() {
		if err := r.Run(feeding); err != nil {
			t.Errorf("feed: %v", err)
		}
	})
	first := r.device("a")
	r.eventually("the feed follows", func() bool {
		first.seq++
		if err := first.in.Boot(t.Context(), first.seq, 0, s.Clock().Base()); err != nil {
			t.Fatal(err)
		}
		return len(r.Events("a", 1)) > 0
	})

	sender := r.device("b")
	watching, stopWatching := context.WithCancel(t.Context())
	var viewers sync.WaitGroup
	destinations := []string{"/topic/hub", "/topic/devices", "/topic/devices/b/readings", "/topic/devices/*/readings"}
	for i := range 8 {
		viewers.Go(func() {
			v := r.Viewer()
			defer v.Close()
			var updates []Update
			for n := i; watching.Err() == nil; n++ {
				destination := destinations[n%len(destinations)]
				if err := v.Subscribe(fmt.Sprint(n), destination, nil, &Position{r.Epoch(), uint64(n)}); err != nil {
					t.Errorf("subscribe: %v", err)
					return
				}
				for range 3 {
					select {
					case <-v.C():
					case <-time.After(patience):
						t.Error("no sign of life")
						return
					}
					for _, u := range v.Take(updates[:0]) {
						decode[map[string]any](t, u.Body)
					}
				}
				if err := v.Unsubscribe(fmt.Sprint(n)); err != nil {
					t.Errorf("unsubscribe: %v", err)
				}
			}
		})
	}
	for i := range 300 {
		c.add(time.Millisecond)
		sender.send(i)
		r.Connected("c", uint64(i+1), "192.0.2.1:1")
		r.Greeted("c", uint64(i+1), time.Minute)
		r.Disconnected("c", uint64(i+1), 0, "", i%2 == 0)
		r.Refused("192.0.2.2:1", "", "401")
		r.Hub()
		r.Devices(List{Sort: "-seen"})
		switch i % 20 {
		case 5:
			if err := s.RemoveDevice("d"); err != nil {
				t.Fatal(err)
			}
		case 15:
			r.add("d")
		}
	}
	if v := r.valueOf("b", "temperature"); v.Text != "2.99" {
		t.Errorf("%+v", v)
	}
	stopWatching()
	viewers.Wait()
	stopFeed()
	feed.Wait()
	cancel()
	tasks.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The result of a command does not wait for the end of a tick.
func TestResultsComeEarly(t *testing.T) {
	s, err := store.Open(store.Options{Dir: t.TempDir(), CommitWindow: 5 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{}
	c.at.Store(time.Now().UnixMicro())
	r := &rig{Feed: New(Config{Store: s, Logger: slog.New(slog.DiscardHandler), Tick: time.Second, Now: c.now}), t: t, clock: c, devices: map[string]*testDevice{}}
	r.add("a")
	r.device("a")
	w := r.watcher()
	w.subscribe("/topic/devices/a/commands")
	w.one()
	ctx, cancel := context.WithCancel(t.Context())
	var tasks sync.WaitGroup
	tasks.Go(func() { r.beat(ctx) })
	wake := func() CommandsUpdate {
		t.Helper()
		select {
		case <-w.C():
		case <-time.After(patience):
			t.Fatal("nothing comes")
		}
		list := w.Take(nil)
		if len(list) != 1 {
			t.Fatalf("%d messages", len(list))
		}
		return decode[CommandsUpdate](t, list[0].Body)
	}
	for n := range uint64(3) {
		o := r.order("a", "anna")
		if _, err := r.store.Commands.Cancel(o.ID, "anna", ""); err != nil {
			t.Fatal(err)
		}
		for u := wake(); len(u.Commands) == 0 || u.Commands[0].Number != n+1; u = wake() {
		}
	}
	cancel()
	tasks.Wait()
	if r.regular >= r.cut.Load() {
		t.Errorf("all %d ticks ended at their time", r.regular)
	}
	r.unwatchCommands()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
