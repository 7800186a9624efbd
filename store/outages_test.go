package store_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// gateway is a store under a clock that stands still, and one device of it that measures once a second.
type gateway struct {
	*hub
	clock *atomic.Int64 // s after epoch
	dir   string
	link  *storetest.Connection
	seq   uint64
}

func newGateway(t *testing.T) *gateway {
	g := &gateway{clock: &atomic.Int64{}, dir: t.TempDir()}
	g.start(t)
	add(t, g.Store, "a")
	return g
}

func (g *gateway) now() time.Time { return epoch.Add(time.Duration(g.clock.Load()) * time.Second) }

func (g *gateway) start(t *testing.T) {
	g.hub = start(t, store.Options{Dir: g.dir, Now: g.now})
	g.Outages.HubStarted()
}

func (g *gateway) connect() {
	g.Outages.DeviceConnected("a")
	g.link = connect(g.t, g.Store, "a", 1)
}

func (g *gateway) disconnect() {
	g.link.Close()
	g.Outages.DeviceDisconnected("a")
}

// measure lets n seconds pass, the device sending in each.
func (g *gateway) measure(n int) {
	g.t.Helper()
	for range n {
		g.clock.Add(1)
		g.frame(g.now())
		g.link.Await(g.seq)
	}
}

func (g *gateway) frame(at time.Time) {
	g.t.Helper()
	g.seq++
	d := &device.Data{Seq: g.seq, Times: []int64{at.UnixMicro()}, Columns: []device.Column{{ID: 1, Type: device.Int, Bits: []uint64{1}}}}
	message, err := device.AppendData(nil, d, schema)
	if err != nil {
		g.t.Fatal(err)
	}
	if err := g.link.Frame(g.t.Context(), message, d, tail.Timing{}); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) lose(first, last uint64, reason device.LostReason) {
	g.t.Helper()
	if err := g.link.Lost(g.t.Context(), &device.Lost{First: first, Last: last, Reason: reason}); err != nil {
		g.t.Fatal(err)
	}
	g.link.Await(last)
}

// orderlyRestart stops the hub for n seconds.
func (g *gateway) orderlyRestart(t *testing.T, n int64) {
	t.Helper()
	g.Outages.HubStopping()
	g.Outages.DeviceDisconnected("a")
	if err := g.stop(); err != nil {
		t.Fatal(err)
	}
	g.clock.Add(n)
	g.start(t)
}

// kill lets the hub end without any notice: what is on disk is what the next one finds.
func (g *gateway) kill(t *testing.T, n int64) {
	t.Helper()
	old := g.stop
	g.dir = copyDir(t, g.dir)
	if err := old(); err != nil {
		t.Fatal(err)
	}
	g.clock.Add(n)
	g.start(t)
}

// want compares the silences with lines like "10 to 70 offline".
func (g *gateway) want(lines ...string) {
	g.t.Helper()
	var got []string
	for _, s := range g.silences() {
		got = append(got, fmt.Sprintf("%.0f to %.0f %s", s.From.Sub(epoch).Seconds(), s.To.Sub(epoch).Seconds(), s.Cause))
		if (s.Text == "") != (s.Cause == outages.CauseUnknown) {
			g.t.Errorf("%s says %q", s.Cause, s.Text)
		}
	}
	if !slices.Equal(got, lines) {
		g.t.Errorf("silences are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func (g *gateway) silences() []outages.Silence {
	g.t.Helper()
	ch := schema.Channels[0]
	ch.Interval = 1000
	d, err := g.Decimated(g.t.Context(), history.DecimateQuery{
		Device: "a", Channels: []*device.Channel{&ch}, From: epoch.Add(-time.Hour), To: g.now().Add(time.Millisecond), Step: time.Minute,
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return g.Silences("a", d)
}

func TestOffline(t *testing.T) {
	g := newGateway(t)
	g.clock.Add(20)
	g.connect()
	g.measure(10)
	g.disconnect()
	g.clock.Add(100)
	g.connect()
	g.measure(10)
	g.clock.Add(50) // connected and silent
	g.measure(5)
	g.disconnect()
	g.clock.Add(30)
	want := []string{"0 to 21 offline", "30 to 131 offline", "140 to 191 unknown", "195 to 225 offline"}
	g.want(want...)

	// A connection that takes over begins before the old one has ended.
	g.connect()
	old := g.link
	g.measure(5)
	g.connect()
	old.Close()
	g.Outages.DeviceDisconnected("a")
	g.clock.Add(30)
	g.measure(5)
	want = append(want[:3], "195 to 226 offline", "230 to 261 unknown")
	g.want(want...)
	g.disconnect()
	g.clock.Add(30)
	g.connect()
	g.measure(5) // to 300
	want = append(want, "265 to 296 offline")
	g.want(want...)

	g.orderlyRestart(t, 60)
	g.want(append(want, "300 to 360 hub_down")...)
	g.clock.Add(60)
	g.connect()
	g.measure(5)
	want = append(want, "300 to 360 hub_down", "360 to 421 offline")
	g.want(want...)

	g.orderlyRestart(t, 0) // again: nothing of it is forgotten
	g.connect()
	g.measure(1)
	g.want(want...)
}

// TestKilledHub is about what is still known after kill -9: nothing since the last checkpoint but what the journal has.
func TestKilledHub(t *testing.T) {
	g := newGateway(t)
	g.clock.Add(20) // nobody is connected
	if err := g.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	g.kill(t, 10)
	want := []string{"0 to 20 offline", "20 to 30 hub_down"}
	g.want(want...)
	g.kill(t, 0) // before any checkpoint
	g.want(want...)

	g.connect()
	g.measure(10)
	if err := g.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	g.measure(20) // to 60
	g.disconnect()
	g.clock.Add(30)
	g.connect() // at 90
	g.measure(10)
	g.disconnect() // at 100
	g.clock.Add(30)
	g.kill(t, 100) // from 130 to 230
	want = []string{"0 to 20 offline", "20 to 31 hub_down", "60 to 91 unknown", "100 to 230 hub_down"}
	g.want(want...)
	if s := g.silences()[3]; !strings.Contains(s.Text, "for the last time at 2026-03-01 12:01:40") {
		t.Errorf("the text is %q", s.Text)
	}
	g.clock.Add(30)
	g.connect()
	g.measure(1)
	g.want(append(want, "230 to 261 offline")...)
	g.kill(t, 0)
	g.want(append(want, "230 to 261 unknown")...) // no checkpoint knows of the connection
}

func TestDeclaredLost(t *testing.T) {
	g := newGateway(t)
	g.connect()
	g.measure(10) // 1 to 10
	g.disconnect()
	g.clock.Add(100) // at 110
	g.connect()
	g.lose(11, 70, device.LostOverwritten)
	g.want("10 to 110 lost") // nothing newer is there yet
	g.seq = 70
	for at := int64(71); at <= 110; at++ {
		if at <= 80 || at > 90 { // a moment of sleep, of which no frame was lost
			g.frame(epoch.Add(time.Duration(at) * time.Second))
		}
	}
	g.link.Await(g.seq)
	g.want("10 to 71 lost", "80 to 91 offline")
	for at := int64(81); at <= 90; at++ {
		g.frame(epoch.Add(time.Duration(at) * time.Second))
	}
	g.link.Await(g.seq)
	g.want("10 to 71 lost")

	// Live data first, then what is left of the backlog.
	g.disconnect()
	g.clock.Add(100) // at 210
	g.connect()
	g.seq += 100
	g.measure(5)
	g.want("10 to 71 lost", "110 to 211 offline")
	live := g.seq
	g.lose(111, 170, device.LostCorrupted)
	g.seq = 170
	for at := int64(171); at <= 210; at++ {
		g.frame(epoch.Add(time.Duration(at) * time.Second))
	}
	g.link.Await(g.seq)
	g.seq = live
	want := []string{"10 to 71 lost", "110 to 171 lost"}
	g.want(want...)
	if s := g.silences(); !strings.Contains(s[0].Text, "60 frames lost: its buffer was full") || !strings.Contains(s[1].Text, "damaged") {
		t.Errorf("the texts are %q and %q", s[0].Text, s[1].Text)
	}

	// Numbers that were never used are not frames that are missing.
	g.clock.Add(50)
	g.seq += 10
	g.measure(1)
	g.lose(live+1, live+10, device.LostUnsent)
	g.want(append(want, "215 to 266 unknown")...)

	before := g.silences()
	g.kill(t, 0)
	if after := g.silences(); !slices.Equal(before, after) {
		t.Errorf("read from the journal: %+v, want %+v", after, before)
	}
	g.orderlyRestart(t, 0)
	if after := g.silences(); !slices.Equal(before, after) {
		t.Errorf("read from hub.db: %+v, want %+v", after, before)
	}
	if err := g.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	add(t, g.Store, "a")
	g.want()
}

// TestOutagesBounded has a device that connects again and again, and a hub that is restarted as often: what is no longer
// known is not claimed.
func TestOutagesBounded(t *testing.T) {
	g := newGateway(t)
	for range 200 {
		g.connect()
		g.disconnect()
		g.clock.Add(10)
	}
	g.connect()
	g.measure(1)
	got := g.silences()
	if len(got) != 2 || got[0].Cause != outages.CauseUnknown || got[1].Cause != outages.CauseOffline {
		t.Fatalf("silences: %+v", got)
	}
	if known := got[1].To.Sub(got[1].From); known < 600*time.Second || known > 640*time.Second {
		t.Errorf("the device's connections are known for %v", known)
	}
	for range 70 {
		g.orderlyRestart(t, 5)
	}
	g.connect()
	g.measure(1)
	for _, s := range g.silences() {
		if s.Cause == outages.CauseOffline {
			t.Errorf("offline is claimed: %+v", s)
		}
	}
}
