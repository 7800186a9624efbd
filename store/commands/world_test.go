package commands

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// deviceMemory is how many commands the worst device that the protocol allows remembers.
const deviceMemory = 16

// world is a hub, a device and a connection between them, all of which fail.
type world struct {
	*rig
	rt *rapid.T

	// the hub
	sent map[device.CommandID]Command // accepted

	// the connection; nil: there is none
	delivery *Delivery
	down     []*device.Command // on their way to the device
	up       []*device.Result  // on their way to the hub

	// the device
	flash  bool
	stream uint64
	memory []*device.Result            // of the last commands begun, the oldest first
	begun  map[device.CommandID][]bool // one for each time: whether it was in time
}

func (w *world) accept(rt *rapid.T) {
	n := New{
		Device: "a", Name: rapid.SampledFrom([]string{"blink", "reboot", "reboot", "set_setpoint"}).Draw(rt, "name"),
		TTL: time.Duration(rapid.IntRange(1, 40).Draw(rt, "ttl")) * time.Second,
	}
	if n.Name == "set_setpoint" {
		n.Args = map[string]any{"celsius": 20.0}
	}
	c := w.send(n)
	w.sent[c.ID] = c
}

func (w *world) again(rt *rapid.T) {
	if c, ok := w.any(rt); ok {
		if got := w.send(New{ID: c.ID, Device: c.Device, Name: c.Name, Args: c.Args}); got.Number != c.Number {
			rt.Fatalf("the same id became number %d", got.Number)
		}
	}
}

func (w *world) cancel(rt *rapid.T) {
	if c, ok := w.any(rt); ok {
		_, _ = w.Cancel(c.ID, "ada", "") // too late mostly
	}
}

// any is some command that was accepted.
func (w *world) any(rt *rapid.T) (Command, bool) {
	if len(w.sent) == 0 {
		return Command{}, false
	}
	list := make([]Command, 0, len(w.sent))
	for _, c := range w.sent {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b Command) int { return int(a.Number) - int(b.Number) })
	return rapid.SampledFrom(list).Draw(rt, "command"), true
}

func (w *world) cut(*rapid.T) { w.delivery, w.down, w.up = nil, nil, nil }

func (w *world) connect(rt *rapid.T) {
	w.cut(rt)
	w.delivery = w.Delivery("a", w.stream)
}

// hubActs takes what has arrived and sends; a hub that is killed has recorded what it sends and does not send it.
func (w *world) hubActs(rt *rapid.T) {
	if w.delivery == nil {
		return
	}
	arrived := rapid.IntRange(0, len(w.up)).Draw(rt, "arrived")
	results := w.up[:arrived]
	w.up = w.up[arrived:]
	killed := rapid.IntRange(0, 9).Draw(rt, "killed") == 0
	for _, c := range w.exchange(w.delivery, results...) {
		if !c.Idempotent && c.State.Open() && len(w.begun[c.ID]) == 0 && !w.now().Before(c.Deadline) && c.Sent.Equal(w.now()) {
			rt.Fatalf("%v was sent after its deadline", c.ID)
		}
		w.down = append(w.down, c.Message(w.now()))
	}
	if killed {
		w.restartHub(rt)
	}
}

func (w *world) restartHub(rt *rapid.T) {
	w.cut(rt)
	w.restart("a")
}

// deviceActs takes one message as PROTOCOL.md says.
func (w *world) deviceActs(rt *rapid.T) {
	if len(w.down) == 0 {
		return
	}
	m := w.down[0]
	w.down = w.down[1:]
	if i := slices.IndexFunc(w.memory, func(r *device.Result) bool { return r.ID == m.ID }); i >= 0 {
		w.up = append(w.up, w.memory[i])
		return
	}
	if m.TTL == 0 || m.Deadline <= w.now().UnixMicro() {
		w.up = append(w.up, &device.Result{ID: m.ID, Status: device.ResultExpired})
		return
	}
	w.begun[m.ID] = append(w.begun[m.ID], m.Deadline > w.now().UnixMicro())
	r := &device.Result{ID: m.ID, Status: device.ResultStatus(rapid.IntRange(0, 1).Draw(rt, "status"))}
	w.memory = append(w.memory, r)
	if len(w.memory) > deviceMemory {
		w.memory = w.memory[1:]
	}
	switch rapid.IntRange(0, 9).Draw(rt, "outcome") {
	case 0: // dies while it carries it out
		r.Status, r.Text = device.ResultFailed, "restarted"
		w.reboot(rt)
	case 1: // never answers, unless it is asked again
	default:
		w.up = append(w.up, r)
	}
}

// flow is a time in which much goes well.
func (w *world) flow(rt *rapid.T) {
	if w.delivery == nil {
		w.connect(rt)
	}
	for range 2 * deviceMemory {
		c := w.send(New{Device: "a", Name: "reboot"})
		w.sent[c.ID] = c
		for _, c := range w.exchange(w.delivery, w.up...) {
			w.down = append(w.down, c.Message(w.now()))
		}
		w.up = nil
		for len(w.down) > 0 {
			w.deviceActs(rt)
		}
		if w.delivery == nil { // the device has rebooted
			return
		}
	}
}

func (w *world) reboot(rt *rapid.T) {
	w.cut(rt)
	if !w.flash {
		w.stream++
		w.memory = nil
	}
}

func (w *world) timePasses(rt *rapid.T) {
	w.pass(time.Duration(rapid.IntRange(1, 20_000).Draw(rt, "ms")) * time.Millisecond)
	if rapid.Bool().Draw(rt, "looked at") {
		w.expire()
	}
}

// check is what must hold at every moment.
func (w *world) check(rt *rapid.T) {
	for id, c := range w.sent {
		times := w.begun[id]
		now, err := w.Get(id)
		if err != nil {
			rt.Fatal(err)
		}
		switch {
		case !c.Idempotent && len(times) > 1:
			rt.Fatalf("%s %v was begun %d times", c.Name, id, len(times))
		case slices.Contains(times, false):
			rt.Fatalf("%s %v was begun after its deadline", c.Name, id)
		case len(times) > 0 && (now.State == Queued || now.State == Cancelled || now.State == Expired && !c.Idempotent):
			rt.Fatalf("%s %v was begun and is %s", c.Name, id, now.State)
		case len(times) == 0 && (now.State == Succeeded || now.State == Failed):
			rt.Fatalf("%s %v was never begun and is %s", c.Name, id, now.State)
		}
	}
}

// TestNothingHappensTwiceOrTooLate lets hub, device and connection fail in any order.
func TestNothingHappensTwiceOrTooLate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, "a")
		w := &world{
			rig: r, rt: rt, sent: map[device.CommandID]Command{}, begun: map[device.CommandID][]bool{},
			flash: rapid.Bool().Draw(rt, "flash"), stream: 1,
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": w.check, "accept": w.accept, "again": w.again, "cancel": w.cancel, "connect": w.connect, "cut": w.cut,
			"hub": w.hubActs, "hub 2": w.hubActs, "hub 3": w.hubActs, "hub 4": w.hubActs, "restart": w.restartHub,
			"device": w.deviceActs, "device 2": w.deviceActs, "device 3": w.deviceActs, "device 4": w.deviceActs, "reboot": w.reboot, "time": w.timePasses, "flow": w.flow,
		})
		// In the end everything is settled.
		w.connect(rt)
		for len(w.down)+len(w.up) > 0 || w.devices["a"] != nil && len(w.devices["a"].queued) > 0 {
			results := w.up
			w.up = nil
			for _, c := range w.exchange(w.delivery, results...) {
				w.down = append(w.down, c.Message(w.now()))
			}
			for len(w.down) > 0 && w.delivery != nil {
				w.deviceActs(rt)
			}
			if w.delivery == nil {
				w.connect(rt)
			}
			w.pass(time.Second)
			w.check(rt)
		}
		w.pass(mostAnswerTime)
		w.expire()
		w.check(rt)
		if w.open != 0 {
			rt.Fatalf("%d commands are still open", w.open)
		}
	})
}
