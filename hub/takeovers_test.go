package hub

import (
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Two devices with one token take over from each other without end. Somebody has to be told.
func TestTwoDevicesWithOneToken(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{ConnectsPerDevice: 1000}}, "a", "b")
	took := func(id string) int { _, n := r.hub.takeoversOf(id); return n }
	old := r.join("a")
	for range takeoverCount {
		newer := r.join("a")
		old.closed(device.CloseReplaced) // and answers: it is still there
		old = newer
	}
	eventually(t, "an alarm", func() bool { return r.alarm("one token", "a (127.0.0.1)") != "" })
	if p := r.hub.Presence("a"); p.Takeovers < takeoverCount || p.Rivals != [2]string{"127.0.0.1", "127.0.0.1"} {
		t.Errorf("%+v", p)
	}
	// A device whose network has failed comes back while its old connection is still open. That is nothing.
	b := r.join("b")
	for range 2 * takeoverCount {
		newer := r.join("b")
		_ = b.conn.Close()
		b = newer
	}
	eventually(t, "the old sessions have ended", func() bool { return len(r.hub.sessions.list()) == 2 })
	if n := took("b"); n != 0 || r.alarm("b (") != "" {
		t.Errorf("%d takeovers: %v", n, r.store.Alarms.All())
	}
	r.hub.endTakeovers(r.hub.elapsed() + takeoverSpan + time.Second)
	if r.alarm("token") != "" || took("a") != 0 {
		t.Errorf("it does not end: %v", r.store.Alarms.All())
	}
}
