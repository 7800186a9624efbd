package dashboard

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

var obedientSchema = &device.Schema{
	Channels: []device.Channel{
		{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel", Interval: 1000},
		{ID: 2, Name: "setpoint", Type: device.Int, Scale: -1, Unit: "Cel", Writable: true},
	},
	Commands: []device.CommandSpec{
		{Name: "blink", Idempotent: true},
		{Name: "count", Args: []device.Arg{{Name: "n", Type: device.Int, Min: new(1.0), Max: new(9e15)}}},
		{Name: "heat", Supersedes: true, Args: []device.Arg{{Name: "celsius", Type: device.Float64}}},
	},
}

// obedient is a real device that does what it is told.
type obedient struct {
	t      testing.TB
	rig    *liveRig
	id     string
	client *client.Client
	leave  func() // closes the connection, and waits

	mu   sync.Mutex
	did  []device.Command
	hold chan struct{} // commands end when it is closed; nil: at once
}

// obeys registers a device and connects it.
func (r *liveRig) obeys(id string) *obedient {
	r.t.Helper()
	made, err := r.store.Devices.Add([]devices.NewDevice{{ID: id}})
	if err != nil {
		r.t.Fatal(err)
	}
	d := &obedient{t: r.t, rig: r, id: id}
	d.client, err = client.New(client.Config{
		URL: "wss://" + r.addr, Token: made[0].Token, TLS: &tls.Config{InsecureSkipVerify: true}, Schema: obedientSchema, OnCommand: d.do,
		OnSet: func(context.Context, device.Channel, any) device.Result { return device.Result{} },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := d.client.Close(); err != nil {
			r.t.Error(err)
		}
	})
	d.join()
	return d
}

// join connects the device, and waits until it can be told things.
func (d *obedient) join() {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.client.Run(ctx) }()
	d.leave = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			d.t.Error(err)
		}
		eventually(d.t, d.id+" is gone", func() bool { return !d.rig.hub.Presence(d.id).Connected })
	})
	d.t.Cleanup(d.leave)
	eventually(d.t, d.id+" is there", func() bool {
		_, known := d.rig.store.DeviceSchema(d.id)
		return known && d.rig.hub.Presence(d.id).Connected
	})
}

func (d *obedient) do(ctx context.Context, c device.Command) device.Result {
	d.mu.Lock()
	d.did = append(d.did, c)
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
		}
	}
	return device.Result{Text: "done", Values: c.Args}
}

// stall lets the device begin commands and not end them, until it is released.
func (d *obedient) stall() (release func()) {
	hold := make(chan struct{})
	d.mu.Lock()
	d.hold = hold
	d.mu.Unlock()
	return sync.OnceFunc(func() {
		d.mu.Lock()
		d.hold = nil
		d.mu.Unlock()
		close(hold)
	})
}

// times is how often the device has begun a command.
func (d *obedient) times(id device.CommandID) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.did {
		if c.ID == id {
			n++
		}
	}
	return n
}

// settled waits until the hub knows what became of a command.
func (r *liveRig) settled(id device.CommandID, want commands.State) commands.Command {
	r.t.Helper()
	var c commands.Command
	eventually(r.t, "the command is "+string(want), func() bool {
		c, _ = r.store.Commands.Get(id)
		return c.State == want
	})
	return c
}

// keyOf makes an API key.
func (r *liveRig) keyOf(name string, role accounts.Role) string {
	r.t.Helper()
	key, err := r.store.Accounts.AddAPIKey(name, role)
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

// connectAs opens a STOMP connection with an API key.
func (r *liveRig) connectAs(key string) *stompClient {
	r.t.Helper()
	return r.connectWith("Authorization: Bearer " + key)
}

// connectUser opens a STOMP connection with a user's session, as the page does.
func (r *liveRig) connectUser(name string, role accounts.Role) *stompClient {
	r.t.Helper()
	if err := r.store.Accounts.AddUser(name, password, role); err != nil && !errors.Is(err, accounts.ErrUserExists) {
		r.t.Fatal(err)
	}
	secret, _, err := r.store.Accounts.OpenSession(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.connectWith("Cookie: __Host-session="+secret, "Origin: https://"+r.addr)
}

func (r *liveRig) connectWith(lines ...string) *stompClient {
	r.t.Helper()
	c := r.dial(r.upgrade(append(lines, "Sec-WebSocket-Protocol: v12.stomp")...)...)
	c.send("CONNECT\naccept-version:1.2\n\n\x00")
	c.expect(stomp.Connected)
	return c
}

// order sends a SEND.
func (c *stompClient) order(to, body string, headers ...string) {
	c.t.Helper()
	c.send("SEND\ndestination:/app/devices/" + to + "/commands\n" + strings.Join(append(headers, ""), "\n") + "\n" + body + "\x00")
}

// commandIn returns what a body says of a command, nil if nothing.
func commandIn(body map[string]any, id device.CommandID) map[string]any {
	list, _ := body["commands"].([]any)
	i := slices.IndexFunc(list, func(c any) bool { return at(c, "id") == id.String() })
	if i < 0 {
		return nil
	}
	return list[i].(map[string]any)
}

func decodeBody(t testing.TB, f *stomp.Frame) (body map[string]any) {
	t.Helper()
	if err := json.Unmarshal(f.Body, &body); err != nil {
		t.Fatalf("%v: %q", err, f.Body)
	}
	return body
}

// state passes over MESSAGEs of a subscription until a command has a state, and returns it and all states seen.
func (c *stompClient) state(sub string, id device.CommandID, want string) (last map[string]any, seen []string) {
	c.t.Helper()
	c.until(sub, id.String()+" is "+want, func(body map[string]any) bool {
		if last = commandIn(body, id); last == nil {
			return false
		}
		state, _ := last["state"].(string)
		seen = append(seen, state)
		return state == want
	})
	return last, seen
}

// wantEntries compares the newest entries of the audit trail: action, by, from and text.
func (r *liveRig) wantEntries(want ...[4]string) {
	r.t.Helper()
	list, err := r.store.Audit.Entries(audit.Filter{Limit: len(want)})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Reverse(list)
	var got [][4]string
	for _, e := range list {
		got = append(got, [4]string{e.Action, e.By, e.From, e.Text})
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("audit trail:\n%q, expected\n%q", got, want)
	}
}
