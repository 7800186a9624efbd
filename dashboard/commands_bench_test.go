package dashboard

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// BenchmarkCommand measures commands one after the other, from the moment they are sent until their result is seen, with a device on
// a WebSocket of its own and the feed's usual tick. They are sent at any moment within a tick, as people click.
//
//	go test ./dashboard -run '^$' -bench BenchmarkCommand -benchtime 1000x -timeout 20m
func BenchmarkCommand(b *testing.B) {
	const tick = 250 * time.Millisecond
	for _, way := range []struct {
		name string
		once func(*apiRig, *stompClient, device.CommandID, int)
	}{
		{"SEND-to-MESSAGE", func(_ *apiRig, c *stompClient, id device.CommandID, n int) {
			c.order("d", countBody(id, n))
			c.state("d", id, "succeeded")
		}},
		{"POST-to-MESSAGE", func(a *apiRig, c *stompClient, id device.CommandID, n int) {
			a.call("operator", "POST", "/devices/d/commands", command(id, n)).wants(http.StatusOK, nil)
			c.state("d", id, "succeeded")
		}},
		{"POST-and-wait", func(a *apiRig, _ *stompClient, id device.CommandID, n int) {
			a.call("operator", "POST", "/devices/d/commands?wait=20s", command(id, n)).wants(http.StatusOK, nil)
		}},
	} {
		b.Run(way.name, func(b *testing.B) {
			a := newAPI(b, rigOptions{tick: tick})
			a.obeys("d")
			var at time.Time
			a.api.Commanders = limit.NewThrottle(func() time.Time { at = at.Add(time.Second); return at }) // nobody sends too fast
			c := a.connectUser("anna", accounts.RoleOperator)
			if way.name != "POST-and-wait" {
				c.send(subscribeFrame("d", "/topic/devices/d/commands"))
				c.message("d")
			}
			took := make([]time.Duration, b.N)
			for i := range took {
				_ = c.conn.SetDeadline(time.Now().Add(patience))
				time.Sleep(rand.N(tick))
				began := time.Now()
				way.once(a, c, device.NewCommandID(), i+1)
				took[i] = time.Since(began)
			}
			slices.Sort(took)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
			b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}
