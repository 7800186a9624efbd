package dashboard

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

// TestRollout sends one command to many devices, of which one does not answer in time.
func TestRollout(t *testing.T) {
	a := newAPI(t, rigOptions{})
	first, second := a.obeys("a"), a.obeys("b")
	a.obeys("other")
	newSensor(a, "c") // has no commands
	type fields = map[string]any
	three := []string{"c", "a", "b"}
	var dry api.RolloutStarted
	a.call("operator", "POST", "/rollouts", fields{"name": "blink", "devices": three, "dry_run": true}).wants(200, &dry)
	if len(dry.Outcomes) != 3 || dry.Outcomes[0].Device != "a" || dry.Rollout != nil {
		t.Errorf("%+v", dry)
	}
	id := device.NewCommandID()
	var begun api.RolloutStarted
	request := fields{"id": id, "name": "count", "args_text": map[string]string{"n": "7"}, "devices": three, "rate": 1000}
	a.call("operator", "POST", "/rollouts?wait=30s", request).wants(202, &begun)
	if r := begun.Rollout; r == nil || r.State != "over" || r.Devices != 3 || r.Succeeded != 2 || r.Failed != 1 || r.Open != 0 || r.By != "API key test-operator" {
		t.Fatalf("%+v", begun.Rollout)
	}
	var page api.Outcomes
	a.get("/rollouts/"+id.String()+"/outcomes?limit=2", &page)
	if len(page.Outcomes) != 2 || page.Outcomes[1].Command.State != "succeeded" || page.Outcomes[0].Command.Args["n"] != 7.0 || page.Next != "b" {
		t.Errorf("%+v", page)
	}
	page = api.Outcomes{}
	a.get("/rollouts/"+id.String()+"/outcomes?limit=2&cursor=b", &page)
	if len(page.Outcomes) != 1 || page.Outcomes[0].Command != nil || page.Outcomes[0].Error == "" || page.Next != "" {
		t.Errorf("%+v", page)
	}
	// Sent again, also to a hub that does not remember it, nothing is sent twice.
	a.call("operator", "POST", "/rollouts?wait=30s", request).wants(202, nil)
	again, mux := api.New(api.Config{Store: a.store, Hub: a.hub, Feed: a.feed}), http.NewServeMux()
	defer again.End()
	again.Register(mux, api.OnSocket)
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/api/v1/rollouts?wait=30s", bytes.NewReader(body)))
	if w.Code != 202 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, d := range []*obedient{first, second} {
		if len(d.did) != 1 {
			t.Errorf("%s did it %d times", d.id, len(d.did))
		}
	}
	for _, bad := range []fields{
		{"id": id, "name": "blink"}, {"id": id, "name": "blink", "all": true, "devices": three}, {"name": "blink", "all": true},
		{"id": device.NewCommandID(), "all": true},
		{"id": device.NewCommandID(), "name": "blink", "all": true, "rate": 1e9},
	} {
		a.call("operator", "POST", "/rollouts", bad).wants(400, nil)
	}
	if r := a.call("operator", "POST", "/rollouts", fields{"id": id, "name": "blink", "devices": three}).wants(409, nil); !strings.Contains(string(r.body), "command_conflict") {
		t.Errorf("another command with the same id: %s", r.body)
	}
	a.call("operator", "POST", "/rollouts", fields{"id": id, "name": "blink", "devices": []string{"none"}}).wants(404, nil)
	a.call("operator", "POST", "/rollouts", fields{"id": id, "name": "blink", "labels": map[string]string{"site": "none"}}).wants(404, nil)
	a.call("viewer", "GET", "/rollouts/"+device.NewCommandID().String(), nil).wants(404, nil)
}

// TestRolloutStops stops when a command fails, and when it is told to: what is queued is taken back.
func TestRolloutStops(t *testing.T) {
	a := newAPI(t, rigOptions{})
	newSensor(a, "a") // has no commands: the first fails
	for _, id := range []string{"b", "c"} {
		a.obeys(id).leave() // and are away: commands stay queued
	}
	id := device.NewCommandID()
	type fields = map[string]any
	var begun api.RolloutStarted
	a.call("operator", "POST", "/rollouts?wait=30s", fields{"id": id, "name": "blink", "all": true, "rate": 1, "stop_on_failure": true}).wants(202, &begun)
	if r := begun.Rollout; r.State != "over" || r.Sent != 1 || r.Failed != 1 {
		t.Errorf("%+v", r)
	}
	id = device.NewCommandID()
	a.call("operator", "POST", "/rollouts", fields{"id": id, "name": "blink", "devices": []string{"b", "c"}, "rate": 1000, "ttl_ms": 600_000}).wants(202, nil)
	var r api.Rollout
	eventually(t, "both are queued", func() bool {
		a.get("/rollouts/"+id.String(), &r)
		return r.Open == 2
	})
	a.call("operator", "DELETE", "/rollouts/"+id.String(), nil).wants(200, nil)
	a.get("/rollouts/"+id.String()+"?wait=30s", &r)
	if r.State != "over" || r.Failed != 2 {
		t.Errorf("%+v", r)
	}
	list, err := a.store.Commands.List(commands.Filter{States: []commands.State{commands.Cancelled}})
	if err != nil || len(list) != 2 {
		t.Errorf("%d are cancelled: %v", len(list), err)
	}
	// One that is under way ends with the hub.
	id = device.NewCommandID()
	a.call("operator", "POST", "/rollouts", fields{"id": id, "name": "blink", "devices": []string{"b", "c"}, "rate": 0.001, "ttl_ms": 600_000}).wants(202, nil)
}
