package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

const ownQueue = "/user/queue/commands"

func countBody(id device.CommandID, n int) string {
	return fmt.Sprintf(`{"id":"%v","name":"count","args":{"n":%d},"ttl_ms":20000}`, id, n)
}

// A command from a page over its WebSocket reaches the device over its own; everybody sees how far it gets.
func TestSendReachesTheDevice(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	d := r.obeys("d")
	c, watcher, other := r.connectUser("anna", accounts.RoleOperator), r.connect(), r.connectUser("ben", accounts.RoleAdmin)
	e := r.events([]string{"e|/topic/devices/d/commands", "q|" + ownQueue})
	for _, c := range []*stompClient{c, watcher, other} {
		c.send(subscribeFrame("d", "/topic/devices/d/commands"))
		c.send(subscribeFrame("q", ownQueue))
		c.message("d")
	}
	release := d.stall()
	id := device.NewCommandID()
	c.order("d", countBody(id, 3), "receipt:1", "content-type:application/json")
	if f := c.expect(stomp.Receipt); f.Headers.Value("receipt-id") != "1" {
		t.Error(f.Headers)
	}
	if _, err := r.store.Commands.Get(id); err != nil { // durable by then
		t.Error(err)
	}
	for _, sub := range []string{"d", "q"} {
		c.state(sub, id, "sent")
	}
	release()
	for _, at := range []struct {
		c   *stompClient
		sub string
	}{{c, "d"}, {c, "q"}, {watcher, "d"}, {other, "d"}} {
		last, seen := at.c.state(at.sub, id, "succeeded")
		if last["by"] != "anna" || last["from"] != "127.0.0.1 (STOMP)" || last["text"] != "done" || last["device"] != "d" {
			t.Errorf("%v", last)
		}
		order := []string{"queued", "sent", "succeeded"}
		if !slices.IsSortedFunc(seen, func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }) {
			t.Errorf("states %v", seen)
		}
	}
	for commandIn(e.message("e").data.Body, id)["state"] != "succeeded" {
	}
	// The others' own queues have nothing of it.
	mine := device.NewCommandID()
	other.order("d", countBody(mine, 4))
	other.until("q", "his own", func(body map[string]any) bool {
		if commandIn(body, id) != nil {
			t.Errorf("%v", body)
		}
		return commandIn(body, mine) != nil
	})
	if ev := e.message("q"); commandIn(ev.data.Body, id) != nil || ev.data.Body["commands"] == nil {
		t.Errorf("%+v", ev)
	}
	r.settled(mine, commands.Succeeded)

	// A page that is loaded again finds what it has sent.
	again := r.connectUser("anna", accounts.RoleOperator)
	again.send(subscribeFrame("q", ownQueue))
	if _, body := again.message("q"); body["kind"] != "snapshot" || commandIn(body, id)["state"] != "succeeded" || commandIn(body, mine) != nil {
		t.Errorf("%v", body)
	}
}

func TestSendTwiceIsOneCommand(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	d := r.obeys("d")
	release := d.stall()
	id := device.NewCommandID()
	key := r.keyOf("script", accounts.RoleOperator)
	for i, c := range []*stompClient{r.connectAs(key), r.connectUser("anna", accounts.RoleOperator)} {
		for range 2 { // a double click, and another page
			c.order("d", countBody(id, 3), "receipt:1")
			c.expect(stomp.Receipt)
		}
		if i == 0 {
			r.settled(id, commands.Sent)
			release()
			r.settled(id, commands.Succeeded)
		}
	}
	if n := d.times(id); n != 1 {
		t.Errorf("done %d times", n)
	}
	if list, err := r.store.Commands.List(commands.Filter{}); err != nil || len(list) != 1 || list[0].By != "API key script" {
		t.Errorf("%+v, %v", list, err)
	}
}

// A viewer's page has no button; a frame made by hand is refused, and ends the connection.
func TestSendNeedsARole(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	d := r.obeys("d")
	id := device.NewCommandID()
	for _, c := range []*stompClient{r.connect(), r.connectUser("vera", accounts.RoleViewer)} {
		c.order("d", countBody(id, 1), "receipt:9")
		c.fails(device.ClosePolicy, "operator", "9")
	}
	// In a transaction too.
	c := r.connect()
	c.frame("BEGIN", "transaction:t")
	c.order("d", countBody(id, 1), "transaction:t")
	c.frame("COMMIT", "transaction:t", "receipt:9")
	c.fails(device.ClosePolicy, "operator", "9")

	// Who loses the role loses it on an open connection; who is given it has it there.
	c = r.connectUser("anna", accounts.RoleOperator)
	c.order("d", countBody(device.NewCommandID(), 1), "receipt:1")
	c.expect(stomp.Receipt)
	if err := r.store.Accounts.SetRole("anna", accounts.RoleViewer, false); err != nil {
		t.Fatal(err)
	}
	c.order("d", countBody(id, 1), "receipt:9")
	c.fails(device.ClosePolicy, "operator", "9")
	c = r.connectUser("anna", accounts.RoleViewer)
	if err := r.store.Accounts.SetRole("anna", accounts.RoleOperator, false); err != nil {
		t.Fatal(err)
	}
	c.order("d", countBody(device.NewCommandID(), 1), "receipt:1")
	c.expect(stomp.Receipt)
	if _, err := r.store.Commands.Get(id); err == nil || d.times(id) > 0 {
		t.Error("it was accepted")
	}
}

func TestRefusedSend(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	d := r.obeys("d")
	key := r.keyOf("script", accounts.RoleOperator)
	used := device.NewCommandID()
	c := r.connectAs(key)
	c.send(subscribeFrame("q", ownQueue))
	c.message("q")
	c.order("d", countBody(used, 1), "receipt:1")
	c.expect(stomp.Receipt)
	for _, bad := range []struct {
		to, name, args, text, hint string
		id                         device.CommandID
	}{
		{"none", "blink", "{}", "no such device", "", device.NewCommandID()},
		{"d", "explode", "{}", `no command "explode"`, "it has blink", device.NewCommandID()},
		{"d", "count", `{"n":"x"}`, "whole number", "count takes n", device.NewCommandID()},
		{"d", "count", `{"n":2}`, "names another command", "id of its own", used},
	} {
		c.order(bad.to, fmt.Sprintf(`{"id":"%v","name":"%s","args":%s}`, bad.id, bad.name, bad.args), "receipt:2")
		var refused map[string]any
		for refused == nil {
			f := c.expect(stomp.Message)
			if strings.Contains(string(f.Body), "refused") {
				for _, name := range []string{"epoch", "offset", "message-id"} { // a viewer goes on from there
					if f.Headers.Value(name) == "" {
						t.Errorf("no %s in %v", name, f.Headers)
					}
				}
				refused = commandIn(decodeBody(t, f), bad.id)
			}
		}
		if f := c.expect(stomp.Receipt); f.Headers.Value("receipt-id") != "2" { // it was taken, and answered
			t.Errorf("%v", f.Headers)
		}
		hint, _ := refused["hint"].(string)
		if text, _ := refused["text"].(string); !strings.Contains(text, bad.text) || !strings.Contains(hint, bad.hint) || refused["state"] != "refused" ||
			refused["device"] != bad.to || refused["name"] != bad.name {
			t.Errorf("%v", refused)
		}
	}
	// What is no command at all ends the connection, and so does a refusal that nobody listens for.
	for body, text := range map[string]string{
		"": "EOF", "{": "EOF", `{"id":"x"}`: "UUID", `{"name":"blink"}`: "needs an id", `{"id":"` + used.String() + `","name":"blink","to":1}`: "unknown field",
		countBody(used, 1) + "{}": "more behind", countBody(device.NewCommandID(), 0): "at least 1",
	} {
		c := r.connectAs(key)
		c.order("d", body, "receipt:3")
		c.fails(device.CloseBadState, text, "3")
		r.api.Commanders = limit.NewThrottle(r.now)
	}
	r.settled(used, commands.Succeeded)
	if len(d.did) != 1 {
		t.Errorf("done: %v", d.did)
	}
}

func TestSendTooFast(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	d := r.obeys("d")
	now := time.Now()
	r.api.Commanders = limit.NewThrottle(func() time.Time { return now })
	c := r.connectUser("anna", accounts.RoleOperator)
	c.send(subscribeFrame("q", ownQueue))
	c.message("q")
	for range api.CommandPace.Burst {
		c.order("d", countBody(device.NewCommandID(), 1), "receipt:1")
		c.expect(stomp.Receipt)
	}
	id := device.NewCommandID()
	c.order("d", countBody(id, 1))
	if last, _ := c.state("q", id, "refused"); last["text"] != "too many commands" || last["hint"] != "try again in 200ms" {
		t.Errorf("%v", last)
	}
	other := r.connectUser("ben", accounts.RoleOperator)
	other.order("d", countBody(device.NewCommandID(), 1), "receipt:1")
	other.expect(stomp.Receipt)
	eventually(t, "all are done", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.did) == api.CommandPace.Burst+1 })
}

// movedClock is a wall clock that can be set.
type movedClock struct{ by atomic.Int64 }

func (c *movedClock) now() time.Time { return time.Now().Add(time.Duration(c.by.Load())) }

func TestLateAnswerSettlesUnknown(t *testing.T) {
	clock := &movedClock{}
	r := newLiveRig(t, rigOptions{clock: clock.now})
	d := r.obeys("d")
	release := d.stall()
	c := r.connectUser("anna", accounts.RoleOperator)
	c.send(subscribeFrame("d", "/topic/devices/d/commands"))
	id := device.NewCommandID()
	c.order("d", countBody(id, 1))
	c.state("d", id, "sent")
	eventually(t, "the device has begun", func() bool { return d.times(id) == 1 })
	clock.by.Add(int64(time.Minute))
	c.state("d", id, "unknown")
	release()
	if last, _ := c.state("d", id, "succeeded"); last["text"] != "done" {
		t.Errorf("%v", last)
	}
}

func TestDeviceThatIsAway(t *testing.T) {
	clock := &movedClock{}
	r := newLiveRig(t, rigOptions{clock: clock.now})
	d := r.obeys("d")
	d.leave()
	c := r.connectUser("anna", accounts.RoleOperator)
	c.send(subscribeFrame("q", ownQueue))
	late := device.NewCommandID()
	c.order("d", countBody(late, 1))
	c.state("q", late, "queued")
	clock.by.Add(int64(time.Minute))
	c.state("q", late, "expired")
	var ids []device.CommandID
	for i := range 3 {
		id := device.NewCommandID()
		ids = append(ids, id)
		c.order("d", countBody(id, 2+i))
		c.state("q", id, "queued")
	}
	d.join()
	c.state("q", ids[2], "succeeded")
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, done := range d.did {
		if len(d.did) != 3 || done.ID != ids[i] { // in order, and nothing of what has expired
			t.Fatalf("done: %v, sent: %v, %v", d.did, late, ids)
		}
	}
}
