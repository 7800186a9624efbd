package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// command is a request for count.
func command(id device.CommandID, n any) map[string]any {
	return map[string]any{"id": id.String(), "name": "count", "args": map[string]any{"n": n}}
}

func TestSendCommand(t *testing.T) {
	a := newAPI(t, rigOptions{})
	d := a.obeys("d")
	id := device.NewCommandID()
	var c live.CommandStatus
	a.call("operator", "POST", "/devices/d/commands?wait=20s", command(id, 7)).wants(200, &c)
	if c.ID != id.String() || c.Device != "d" || c.Name != "count" || c.State != "succeeded" || c.Text != "done" || c.Values["n"] != 7.0 ||
		c.By != "API key test-operator" || c.From != "127.0.0.1 (REST)" || c.Deadline != c.Created+30_000 || c.Sent < c.Created || c.Changed < c.Sent {
		t.Errorf("%+v", c)
	}
	// Once more the same: it is told how far it has got, and not done again.
	var again live.CommandStatus
	a.call("admin", "POST", "/devices/d/commands", command(id, 7.0)).wants(200, &again)
	if again.State != "succeeded" || again.Number != c.Number || again.By != c.By || d.times(id) != 1 {
		t.Errorf("%+v, done %d times", again, d.times(id))
	}
	a.call("operator", "POST", "/devices/d/commands", command(id, 8)).wants(409, nil)

	// Integers are exact, even where JSON's usual readers are not.
	exact := device.NewCommandID()
	a.call("operator", "POST", "/devices/d/commands?wait=20s", command(exact, int64(1)<<52+1)).wants(200, &c)
	if got := a.settled(exact, commands.Succeeded); got.Args["n"] != int64(1)<<52+1 {
		t.Errorf("%v", got.Args)
	}
	a.get("/commands/"+id.String(), &again)
	if again.ID != id.String() || again.State != "succeeded" {
		t.Errorf("%+v", again)
	}
	a.wantEntries([4]string{"command queued", "API key test-operator", "127.0.0.1 (REST)", "count (n=4503599627370497)"},
		[4]string{"command sent", "hub", "", "count (n=4503599627370497)"}, [4]string{"command succeeded", "d", "", "count (n=4503599627370497): done"})
}

func TestCommandsThatAreRefused(t *testing.T) {
	a := newAPI(t, rigOptions{}, "mute")
	d := a.obeys("d")
	id := func() string { return device.NewCommandID().String() }
	for _, c := range []struct {
		path   string
		body   any
		status int
		text   string
	}{
		{"/devices/none/commands", map[string]any{"id": id(), "name": "blink"}, 404, "no such device"},
		{"/devices/mute/commands", map[string]any{"id": id(), "name": "blink"}, 400, "not known"},
		{"/devices/d/commands", map[string]any{"name": "blink"}, 400, "no id"},
		{"/devices/d/commands", map[string]any{"id": "7", "name": "blink"}, 400, "UUID"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "explode"}, 400, "no command"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "count"}, 400, "n"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "count", "args": map[string]any{"n": 1.5}}, 400, "whole number"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "count", "args": map[string]any{"n": 0}}, 400, "at least 1"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "count", "args": map[string]any{"n": nil}}, 400, "a number or a text"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "count", "args": map[string]any{"n": []int{1}}}, 400, "a number or a text"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "count", "args": map[string]any{"n": "1", "m": 2}}, 400, ""},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "blink", "ttl_ms": 999}, 400, "time to live"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "blink", "ttl_ms": -5}, 400, "time to live"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "blink", "ttl_ms": int64(1) << 60}, 400, "time to live"},
		{"/devices/d/commands", map[string]any{"id": id(), "name": "blink", "device": "x"}, 400, "device"},
		{"/devices/d/commands?wait=2m", map[string]any{"id": id(), "name": "blink"}, 400, "wait"},
		{"/devices/d/commands?wait=soon", map[string]any{"id": id(), "name": "blink"}, 400, "wait"},
		{"/devices/d/commands", "{", 400, "JSON"},
	} {
		a.api.Commanders = limit.NewThrottle(a.now)
		var p api.Problem
		a.call("operator", "POST", c.path, c.body).wants(c.status, &p)
		if !strings.Contains(p.Detail, c.text) {
			t.Errorf("%v: %q, expected %q", c.body, p.Detail, c.text)
		}
	}
	for _, path := range []string{"/commands?state=dead", "/commands?limit=0", "/commands?limit=1001", "/commands?before=-1", "/commands?since=x", "/commands?x=1",
		"/commands/7", "/commands/00000000-0000-0000-0000-000000000000", "/commands/" + id() + "?x=1", "/commands/" + id() + "?wait=-1s", "/audit?x=1", "/audit?limit=x", "/devices/d/settings?x=1"} {
		a.call("admin", "GET", path, nil).wants(400, nil)
	}
	a.call("viewer", "GET", "/commands/"+id(), nil).wants(404, nil)
	if len(d.did) != 0 {
		t.Errorf("done: %v", d.did)
	}
}

func TestWaitForACommand(t *testing.T) {
	a := newAPI(t, rigOptions{})
	d := a.obeys("d")
	release := d.stall()
	id := device.NewCommandID()
	var c live.CommandStatus
	a.call("operator", "POST", "/devices/d/commands?wait=50ms", command(id, 1)).wants(200, &c)
	if c.State != "queued" && c.State != "sent" {
		t.Errorf("%+v", c)
	}
	a.settled(id, commands.Sent)
	answered := make(chan live.CommandStatus, 1)
	wait := func() {
		path := "https://" + a.addr + "/api/v1/commands/" + id.String() + "?wait=60s"
		go func() {
			var c live.CommandStatus
			defer func() { answered <- c }()
			req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
			if err != nil {
				return
			}
			req.Header.Set("Authorization", "Bearer "+a.key)
			if resp, err := a.client.Do(req); err == nil {
				_ = json.NewDecoder(resp.Body).Decode(&c)
				_ = resp.Body.Close()
			}
		}()
	}
	wait()
	eventually(t, "somebody waits", func() bool { return a.api.Waits.Taken() == 1 })
	release()
	if c := <-answered; c.State != "succeeded" {
		t.Errorf("%+v", c)
	}
	// Who finds no place to wait is answered at once, and so is who waits when the hub stops.
	release = d.stall()
	defer release()
	id = device.NewCommandID()
	operator := limit.Party{Name: "key test-operator", Known: true}
	for range api.MaxWaitsOfOne {
		if err := a.api.Waits.Enter(t.Context(), operator); err != nil {
			t.Fatal(err)
		}
	}
	a.call("operator", "POST", "/devices/d/commands?wait=60s", command(id, 1)).wants(200, &c)
	for range api.MaxWaitsOfOne {
		a.api.Waits.Leave(operator)
	}
	a.settled(id, commands.Sent)
	wait()
	eventually(t, "somebody waits", func() bool { return a.api.Waits.Taken() == 1 })
	a.stop()
	if c := <-answered; c.State != "sent" {
		t.Errorf("%+v", c)
	}
}

func TestCancelCommand(t *testing.T) {
	a := newAPI(t, rigOptions{})
	d := a.obeys("d")
	d.leave()
	id, kept := device.NewCommandID(), device.NewCommandID()
	a.call("operator", "POST", "/devices/d/commands", command(id, 1)).wants(200, nil)
	a.call("operator", "POST", "/devices/d/commands", command(kept, 2)).wants(200, nil)
	var c live.CommandStatus
	a.call("operator", "DELETE", "/commands/"+id.String(), nil).wants(200, &c)
	if c.State != "cancelled" || !strings.Contains(c.Text, "test-operator") {
		t.Errorf("%+v", c)
	}
	a.call("operator", "DELETE", "/commands/"+id.String(), nil).wants(409, nil)
	a.call("operator", "DELETE", "/commands/"+device.NewCommandID().String(), nil).wants(404, nil)
	a.call("operator", "DELETE", "/commands/x", nil).wants(400, nil)
	a.wantEntries([4]string{"command cancelled", "API key test-operator", "127.0.0.1 (REST)", "count (n=1): cancelled by API key test-operator"})
	d.join()
	a.settled(kept, commands.Succeeded)
	a.call("operator", "DELETE", "/commands/"+kept.String(), nil).wants(409, nil)
	if d.times(id) != 0 || d.times(kept) != 1 {
		t.Errorf("done: %v", d.did)
	}
}

func TestListCommands(t *testing.T) {
	a := newAPI(t, rigOptions{})
	a.obeys("d")
	a.obeys("e").leave()
	var ids []string
	for i := range 4 {
		id := device.NewCommandID()
		ids = append(ids, id.String())
		to, wait := "d", "?wait=20s"
		if i%2 == 1 {
			to, wait = "e", "" // is not there
		}
		a.call("operator", "POST", "/devices/"+to+"/commands"+wait, command(id, i+1)).wants(200, nil)
	}
	for query, want := range map[string][]int{
		"":                              {3, 2, 1, 0},
		"?device=d":                     {2, 0},
		"?device=e&state=pending":       {3, 1},
		"?state=succeeded":              {2, 0},
		"?state=queued&state=succeeded": {3, 2, 1, 0},
		"?state=":                       {3, 2, 1, 0},
		"?device=none":                  {},
		"?limit=1":                      {3},
		"?since=" + fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()): {},
	} {
		var list api.Commands
		a.get("/commands"+query, &list)
		var got []string
		for _, c := range list.Commands {
			got = append(got, c.ID)
		}
		var wanted []string
		for _, i := range want {
			wanted = append(wanted, ids[i])
		}
		if strings.Join(got, " ") != strings.Join(wanted, " ") {
			t.Errorf("%s: %v, expected %v", query, got, wanted)
		}
	}
	// Page by page.
	var seen []string
	next := ""
	for {
		var list api.Commands
		a.get(fmt.Sprintf("/commands?limit=3&cursor=%s", next), &list)
		for _, c := range list.Commands {
			seen = append(seen, c.ID)
		}
		if next = list.Next; next == "" {
			break
		}
	}
	if len(seen) != 4 || seen[0] != ids[3] || seen[3] != ids[0] {
		t.Errorf("%v", seen)
	}
}

func TestCommandsTooFast(t *testing.T) {
	now := time.Now()
	a := newAPI(t, rigOptions{})
	a.obeys("d")
	a.api.Commanders = limit.NewThrottle(func() time.Time { return now })
	for range api.CommandPace.Burst {
		a.call("operator", "POST", "/devices/d/commands", command(device.NewCommandID(), 1)).wants(200, nil)
	}
	if r := a.call("operator", "POST", "/devices/d/commands", command(device.NewCommandID(), 1)).wants(429, nil); r.header.Get("Retry-After") != "1" {
		t.Errorf("%v", r.header)
	}
	a.call("operator", "PUT", "/devices/d/settings/setpoint", map[string]any{"value": 20}).wants(429, nil)
	a.call("admin", "POST", "/devices/d/commands", command(device.NewCommandID(), 1)).wants(200, nil) // somebody else
	now = now.Add(200 * time.Millisecond)
	a.call("operator", "POST", "/devices/d/commands", command(device.NewCommandID(), 1)).wants(200, nil)
	a.call("operator", "POST", "/devices/d/commands", command(device.NewCommandID(), 1)).wants(429, nil)
}

func TestSettings(t *testing.T) {
	a := newAPI(t, rigOptions{})
	d := a.obeys("d")
	d.leave()
	var list []live.SettingStatus
	a.get("/devices/d/settings", &struct{ Settings any }{&list})
	if list == nil || len(list) != 0 {
		t.Errorf("%+v", list)
	}
	var s live.SettingStatus
	a.call("operator", "PUT", "/devices/d/settings/setpoint", map[string]any{"value": 21}).wants(200, &s)
	if s.Device != "d" || s.Channel != "setpoint" || s.Desired != 21.0 || s.Status != "pending" || s.By != "API key test-operator" || s.From != "127.0.0.1 (REST)" || s.Since == 0 || s.Since != s.Set {
		t.Errorf("%+v", s)
	}
	a.wantEntries([4]string{"setting pending", "API key test-operator", "127.0.0.1 (REST)", "setpoint desired 21"})
	for value, text := range map[any]string{21.05: "steps of 0.1", "warm": "must be a number", true: "must be a number"} {
		r := a.call("operator", "PUT", "/devices/d/settings/setpoint", map[string]any{"value": value}).wants(400, nil)
		if !strings.Contains(string(r.body), text) {
			t.Errorf("%v: %s", value, r.body)
		}
	}
	for _, body := range []string{`{}`, `{"value":null}`, `{"value":{}}`, `{"value":1e999}`, `{"value":1,"x":2}`} {
		a.call("operator", "PUT", "/devices/d/settings/setpoint", body).wants(400, nil)
	}
	a.api.Commanders = limit.NewThrottle(a.now)
	a.call("operator", "PUT", "/devices/d/settings/temperature", map[string]any{"value": 21}).wants(400, nil)
	a.call("operator", "PUT", "/devices/none/settings/setpoint", map[string]any{"value": 21}).wants(404, nil)
	a.call("viewer", "GET", "/devices/none/settings", nil).wants(404, nil)
	a.get("/devices/d/settings", &struct{ Settings any }{&list})
	if len(list) != 1 || list[0].Desired != 21.0 {
		t.Errorf("%+v", list)
	}
	// The device is told when it comes, and reports it.
	d.join()
	data := &device.Data{Times: []int64{time.Now().UnixMicro()}, Columns: []device.Column{{ID: 2, Type: device.Int, Bits: []uint64{210}}}}
	if _, err := d.client.Send(data); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is in sync", func() bool {
		s := a.store.Settings.List("d")
		return len(s) == 1 && s[0].Status == settings.InSync
	})
	a.get("/devices/d/settings", &struct{ Settings any }{&list})
	if len(list) != 1 || list[0].Reported != 21.0 || list[0].ReportedAt == 0 {
		t.Errorf("%+v", list)
	}
	a.call("operator", "DELETE", "/devices/d/settings/setpoint", nil).wants(204, nil)
	a.call("operator", "DELETE", "/devices/d/settings/setpoint", nil).wants(404, nil)
	a.get("/devices/d/settings", &struct{ Settings any }{&list})
	if len(list) != 0 {
		t.Errorf("%+v", list)
	}
}

func FuzzParseCommand(f *testing.F) {
	f.Add([]byte(`{"id":"0193f05e-7a10-7c2b-9d41-3e88510c6faa","name":"count","args":{"n":1,"t":"x","b":true,"f":1e3},"ttl_ms":1}`))
	f.Add([]byte(`{"id":"0193f05e-7a10-7c2b-9d41-3e88510c6faa","args":{"n":null}}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := parseCommand(body)
		if err != nil {
			return
		}
		n := in.Command("d", api.Caller{By: "anna", From: "here"})
		if n.ID == (device.CommandID{}) || n.ID != in.ID || n.Device != "d" || n.Name != in.Name || len(n.Args) != len(in.Args) {
			t.Errorf("%+v", n)
		}
		if in.TTL < 0 != (n.TTL < 0) || in.TTL > 0 != (n.TTL > 0) {
			t.Errorf("ttl_ms %d is %v", in.TTL, n.TTL)
		}
		for name, v := range n.Args {
			switch v.(type) {
			case bool, int64, float64, string:
			default:
				t.Errorf("%s is a %T", name, v)
			}
		}
	})
}
