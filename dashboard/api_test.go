package dashboard

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// reject has a device send what can't be read.
func (r *liveRig) reject(id string) {
	r.t.Helper()
	if err := r.devices[id].in.Reject(r.t.Context(), 0, device.RejectMalformed, "it is cut", []byte{1, 2, 3}); err != nil {
		r.t.Fatal(err)
	}
	if err := r.store.Ledger.Checkpoint(); err != nil { // what was handed in is committed
		r.t.Fatal(err)
	}
}

// TestEveryOperation calls all operations of the document, each of whose answers is compared with it.
func TestEveryOperation(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	a.read("a", 2134)
	a.reject("a")

	code, err := a.store.Accounts.NewSetupCode()
	if err != nil {
		t.Fatal(err)
	}
	a.call("", "POST", "/setup", map[string]string{"link": code, "user": "root", "password": password}).wants(200, nil)
	a.call("", "GET", "/session", nil).wants(200, nil)
	a.call("", "POST", "/password", map[string]string{"old": password, "new": password + "2"}).wants(200, nil)
	a.call("", "DELETE", "/session", nil).wants(204, nil)
	a.call("", "POST", "/session", map[string]string{"user": "root", "password": password + "2"}).wants(200, nil)

	a.call("admin", "GET", "/session", nil).wants(200, nil)
	a.call("admin", "POST", "/users", map[string]string{"name": "anna", "password": password, "role": "viewer"}).wants(201, nil)
	a.call("admin", "GET", "/users", nil).wants(200, nil)
	a.call("admin", "PATCH", "/users/anna", map[string]string{"role": "operator"}).wants(200, nil)
	a.call("admin", "DELETE", "/users/anna", nil).wants(204, nil)
	a.call("admin", "POST", "/apikeys", map[string]string{"name": "script", "role": "viewer"}).wants(201, nil)
	a.call("admin", "GET", "/apikeys", nil).wants(200, nil)
	a.call("admin", "DELETE", "/apikeys/script", nil).wants(204, nil)

	a.get("/hub", nil)
	a.get("/openapi.json", nil)
	a.get("/status", nil)
	a.get("/certificate", nil)
	a.call("admin", "POST", "/certificate/renew", nil).wants(200, nil)
	a.get("/events", nil)
	a.get("/devices", nil)
	a.get("/devices/a", nil)
	a.get("/devices/a/readings", nil)
	a.get("/readings.csv?device=a", nil)
	a.get("/readings.ndjson?device=a", nil)
	a.get("/readings.lp?device=a&limit=10", nil)
	a.get("/latest", nil)
	var letters api.DeadLetters
	a.get("/dead-letters", &letters)
	a.get(fmt.Sprint("/dead-letters/", letters.Letters[0].Position), nil)
	a.call("viewer", "GET", "/dead-letters/4711", nil).wants(404, nil)
	a.call("admin", "POST", "/devices", map[string]any{"id": "b", "kind": "meter", "labels": map[string]string{"site": "north"}}).wants(201, nil)
	a.call("admin", "POST", "/devices/batch", map[string]any{"devices": []any{map[string]any{"id": "c"}, map[string]any{"id": "d"}}}).wants(201, nil)
	a.call("admin", "PATCH", "/devices/b", map[string]any{"kind": "pump"}).wants(200, nil)
	a.call("admin", "POST", "/devices/b/rotate", nil).wants(200, nil)
	a.call("admin", "POST", "/devices/b/revoke", nil).wants(204, nil)
	a.get("/devices/b", nil)
	a.call("admin", "DELETE", "/devices/b", nil).wants(204, nil)
	a.call("admin", "POST", "/dead-letters/replay", map[string]any{"all": true}).wants(409, nil) // nothing is exported
	a.call("admin", "DELETE", "/dead-letters?all=true", nil).wants(200, nil)

	obeying := &device.Schema{
		Channels: []device.Channel{{ID: 1, Name: "setpoint", Type: device.Int, Writable: true}}, Commands: []device.CommandSpec{{Name: "blink"}},
	}
	message := device.AppendControl(nil, obeying)
	a.store.Ledger.Ingest("a", 2, func() {}).Schema(message, obeying)
	a.store.Devices.Note("a", &device.Hello{SchemaHash: device.HashSchema(message)})
	const command = "0b7f1f0e-5a3c-4d6e-9f10-2a3b4c5d6e7f"
	a.call("operator", "POST", "/devices/a/commands", map[string]any{"id": command, "name": "blink"}).wants(200, nil)
	a.get("/commands", nil)
	a.get("/commands/"+command, nil)
	a.call("operator", "DELETE", "/commands/"+command, nil).wants(200, nil)
	a.call("operator", "PUT", "/devices/a/settings/setpoint", map[string]any{"value": 21}).wants(200, nil)
	a.get("/devices/a/settings", nil)
	a.call("operator", "DELETE", "/devices/a/settings/setpoint", nil).wants(204, nil)
	a.call("admin", "GET", "/audit", nil).wants(200, nil)
	rollout := map[string]any{"id": command, "name": "blink", "devices": []string{"a"}}
	a.call("operator", "POST", "/rollouts", rollout).wants(202, nil)
	a.get("/rollouts/"+command, nil)
	a.get("/rollouts/"+command+"/outcomes", nil)
	a.call("operator", "DELETE", "/rollouts/"+command, nil).wants(200, nil)

	a.contract.operations(func(path, method string, op map[string]any) {
		for status := range op["responses"].(map[string]any) {
			if a.contract.tried[method+" "+path+" "+status] && (status < "300" || path == "/dead-letters/replay") {
				return
			}
		}
		t.Errorf("%s %s was not tried", method, path)
	})
}

// TestRolesOfOperations asks as everybody for everything: what the document says of roles is what holds.
func TestRolesOfOperations(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	roles := []string{"viewer", "operator", "admin"}
	a.contract.operations(func(path, method string, op map[string]any) {
		need := ""
		if security, ok := op["security"].([]any); !ok || len(security) > 0 {
			_, after, _ := strings.Cut(op["description"].(string), "Needs the role ")
			need = strings.TrimSuffix(after, ".")
			if !slices.Contains(roles, need) {
				t.Fatalf("%s %s needs the role %q", method, path, need)
			}
		}
		// A name that nothing has: what is allowed fails, and does nothing.
		at := strings.NewReplacer("{id}", "none", "{name}", "none").Replace(path)
		for _, role := range append([]string{""}, roles...) {
			a.cookie = nil
			r := a.call(role, method, at, nil)
			allowed := need == "" || role != "" && slices.Index(roles, role) >= slices.Index(roles, need)
			refused := role == "" && r.status == 401 || role != "" && r.status == 403
			if need != "" && allowed == refused && path != "/password" { // which an API key has not
				t.Errorf("%s %s as %q, which needs %s: %d %s", method, path, role, need, r.status, r.body)
			}
		}
	})
}

func TestBadRequests(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	long := strings.Repeat("x", 300)
	for _, path := range []string{
		"/hub?x=1", "/certificate?x", "/devices/a?x=1", "/hub?%zz", "/hub?a;b",
		"/events?limit=0", "/events?limit=1001", "/events?limit=x", "/events?after=-1", "/events?device=" + long, "/events?limit=1&limit=2",
		"/devices?limit=1001", "/devices?limit=0", "/devices?sort=-id&cursor=x", "/devices?sort=-id&cursor=@-1", "/devices?state=dead", "/devices?sort=age", "/devices?q=" + long, "/devices?page=1",
		"/dead-letters?limit=201", "/dead-letters?cursor=x", "/events?cursor=x", "/events?after=1&cursor=2", "/commands?cursor=a1",
		"/devices/a/readings?points=0", "/devices/a/readings?points=5001", "/devices/a/readings?points=x",
		"/devices/a/readings?from=yesterday", "/devices/a/readings?from=-1", "/devices/a/readings?from=253402300800000",
		"/devices/a/readings?from=1969-12-31T23:59:59Z", "/devices/a/readings?from=99999999999999999999",
		"/devices/a/readings?from=2000&to=1000", "/devices/a/readings?from=2000&to=2000", "/devices/a/readings?format=xml",
		"/devices/a/readings?from=-1", "/devices/a/readings?from=--1h", "/devices/a/readings?from=-1000000d",
		"/readings.csv", "/readings.csv?device=a&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "/readings.csv?device=a&limit=10001", "/readings.csv?device=a&cursor=a:1:1",
		"/readings.csv?device=a&limit=1&cursor=b:1:1", "/readings.csv?device=a&limit=1&cursor=a", "/readings.ndjson?device=a&x=1", "/latest?x=1", "/latest?limit=0",
		"/devices/a/readings?channel=" + long, "/devices/a/readings?" + strings.Repeat("channel=1&", 257),
	} {
		r := a.call("viewer", "GET", path, nil).wants(400, nil)
		if !strings.Contains(string(r.body), `"hint"`) {
			t.Errorf("%.60s: no hint in %s", path, r.body)
		}
	}
	for _, path := range []string{
		"/devices/none", "/devices/none/readings", "/devices/a/readings?channel=none", "/devices/a/readings?channel=7", "/devices/%2e%2e",
	} {
		a.call("viewer", "GET", path, nil).wants(404, nil)
	}
	a.call("admin", "POST", "/devices/none/rotate", nil).wants(404, nil)
	a.call("admin", "POST", "/devices/none/revoke", nil).wants(404, nil)
	a.call("admin", "DELETE", "/devices/none", nil).wants(404, nil)
	for _, path := range []string{"", "?all=false", "?all=yes", "?all=true&position=1", "?position=x", "?position=-1", "?all=true&x"} {
		a.call("admin", "DELETE", "/dead-letters"+path, nil).wants(400, nil)
	}
	for _, body := range []any{nil, "{", "[]", `{"all":true,"positions":[1]}`, `{}`, `{"positions":["a"]}`, `{"all":true} {}`, map[string]any{"positions": make([]int, 1001)}} {
		a.call("admin", "POST", "/dead-letters/replay", body).wants(400, nil)
	}
	for _, body := range []any{
		nil, "{", `{"id":""}`, `{"id":"a b"}`, `{"id":"-a"}`, `{"id":"b","kind":"ä"}`, `{"id":"b","labels":{"x":""}}`, `{"id":"b","labels":{"x y":"z"}}`,
		`{"id":"b","labels":{"x":"a\nb"}}`, `{"id":"b","token":"mine"}`, map[string]string{"id": long},
	} {
		a.call("admin", "POST", "/devices", body).wants(400, nil)
	}
	a.call("admin", "POST", "/devices", `{"id":"a"}`).wants(409, nil)
	a.call("admin", "POST", "/devices", `{"id":"`+strings.Repeat("x", 70<<10)+`"}`).wants(413, nil)
	if n := len(a.store.Devices.All()); n != 1 {
		t.Errorf("%d devices", n)
	}
}

func TestNoRoute(t *testing.T) {
	s := newSite(t)
	c := s.caller()
	for _, path := range []string{"/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/hub", "/api/v1/devices/a/b/c"} {
		c.do("GET", path, nil).wants(404, nil)
	}
	for path, allow := range map[string]string{
		"/api/v1/hub": "GET, HEAD", "/api/v1/devices/a": "GET, HEAD, PATCH, DELETE", "/api/v1/devices": "GET, HEAD, POST", "/api/v1/setup": "POST",
	} {
		r := c.do("PUT", path, nil).wants(405, nil)
		if got := r.header.Get("Allow"); got != allow {
			t.Errorf("PUT %s allows %q, want %q", path, got, allow)
		}
	}
}

// TestDeviceLife registers a device, connects it with what the answer says, and removes it.
func TestDeviceLife(t *testing.T) {
	a := newAPI(t, rigOptions{})
	var made, again api.Credentials
	r := a.call("admin", "POST", "/devices", map[string]any{"id": "b.1", "kind": "meter", "labels": map[string]string{"site": "north"}}).wants(201, &made)
	if made.ID != "b.1" || made.URL != "wss://"+a.addr+"/v1/device" || r.header.Get("Location") != "/api/v1/devices/b.1" {
		t.Errorf("made %+v at %s", made, r.header.Get("Location"))
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(made.Certificate))
	if conn, err := tls.Dial("tcp", a.addr, &tls.Config{RootCAs: roots}); err != nil {
		t.Errorf("the hub is not trusted with what a device is given: %v", err)
	} else {
		sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
		if conn.Close(); hex.EncodeToString(sum[:]) != made.PublicKey {
			t.Errorf("the public key is not %s", made.PublicKey)
		}
	}
	connect := func(token string) *stompClient {
		t.Helper()
		return a.dial("GET /v1/device HTTP/1.1", "Host: "+a.addr, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: telemetry.v1", "Authorization: Bearer "+token)
	}
	connected := func() bool {
		var d api.Device
		a.get("/devices/b.1", &d)
		if d.Kind != "meter" || d.Labels["site"] != "north" || d.Created == 0 || d.Revoked {
			t.Fatalf("device %+v", d)
		}
		return d.Presence.Connected && d.Device.Connected && d.Presence.Since > 0 && d.Presence.Address != "" && len(d.Events) == 1
	}
	first := connect(made.Token)
	eventually(t, "connected", connected)

	// Rotated once, both tokens work; twice, the first one does not.
	a.call("admin", "POST", "/devices/b.1/rotate", nil).wants(200, &again)
	if again.Token == made.Token || again.PublicKey != made.PublicKey {
		t.Errorf("rotated: %+v", again)
	}
	a.call("admin", "POST", "/devices/b.1/rotate", nil).wants(200, &again)
	for first.receive() {
	}
	res, _ := a.ask("GET /v1/device HTTP/1.1", "Host: "+a.addr, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: telemetry.v1", "Authorization: Bearer "+made.Token)
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("with the old token: %s", res.Status)
	}
	second := connect(again.Token)
	a.call("admin", "POST", "/devices/b.1/revoke", nil).wants(204, nil)
	for second.receive() {
	}
	if code := string(second.closes[:2]); code != string([]byte{byte(device.CloseRevoked >> 8), byte(device.CloseRevoked & 0xff)}) {
		t.Errorf("closed with %q", second.closes)
	}
	var d api.Device
	a.get("/devices/b.1", &d)
	if !d.Revoked {
		t.Errorf("not revoked: %+v", d)
	}
	a.call("admin", "DELETE", "/devices/b.1", nil).wants(204, nil)
	a.call("viewer", "GET", "/devices/b.1", nil).wants(404, nil)
	if strings.Contains(a.logged.String(), made.Token) || strings.Contains(a.logged.String(), again.Token) {
		t.Error("a token is in the log")
	}
}

func TestDevicesList(t *testing.T) {
	t.Parallel()
	a := newAPI(t, rigOptions{}, "a", "b", "c")
	if _, err := a.store.Devices.Add([]devices.NewDevice{{ID: "d", Kind: "meter", Labels: map[string]string{"site": "north"}}}); err != nil {
		t.Fatal(err)
	}
	var w struct {
		Total, Matched int
		Devices        []api.DeviceItem
		Next           string
	}
	ids := func() (ids []string) {
		for _, d := range w.Devices {
			ids = append(ids, d.ID)
		}
		return ids
	}
	for query, want := range map[string]string{
		"": "[a b c d] of 4 of 4", "?cursor=a&limit=2": "[b c] of 4 of 4", "?q=METER": "[d] of 1 of 4", "?label=site%3Dnorth": "[d] of 1 of 4",
		"?sort=-id&limit=1": "[d] of 4 of 4", "?state=never": "[d] of 1 of 4",
	} {
		eventually(t, query, func() bool {
			a.get("/devices"+query, &w)
			return fmt.Sprintf("%v of %d of %d", ids(), w.Matched, w.Total) == want
		})
	}
}

// TestPages reads lists page by page: nothing comes twice, and nothing is left out.
func TestPages(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a", "b", "c", "d", "e")
	for _, name := range []string{"ann", "bob", "cid"} {
		if err := a.store.Accounts.AddUser(name, password, accounts.RoleViewer); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/devices": "a b c d e", "/devices?sort=-id": "e d c b a", "/devices?q=telemetry": "a b c d e", "/devices?q=telemetry&sort=kind": "a b c d e",
		"/users": "ann bob cid", "/apikeys": "reader test-admin test-operator test-viewer",
	} {
		for limit := 1; limit <= 6; limit++ {
			var got []string
			for cursor := "first"; cursor != ""; {
				var page struct {
					Devices []struct{ ID string }
					Users   []struct{ Name string }
					APIKeys []struct{ Name string }
					Next    string
				}
				at, sep := path, "?"
				if strings.Contains(path, "?") {
					sep = "&"
				}
				at += sep + fmt.Sprintf("limit=%d", limit)
				if cursor != "first" {
					at += "&cursor=" + cursor
				}
				a.call("admin", "GET", at, nil).wants(200, &page)
				for _, d := range page.Devices {
					got = append(got, d.ID)
				}
				for _, u := range append(page.Users, page.APIKeys...) {
					got = append(got, u.Name)
				}
				cursor = page.Next
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s by %d: %v, want %s", path, limit, got, want)
			}
		}
	}
}

// TestOverTheSocket asks as the command line does, with a hub and without: whoever can connect is an admin.
func TestOverTheSocket(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	for name, served := range map[string]*api.API{"running": a.API(), "files": api.New(api.Config{Store: a.store, Version: "v1"})} {
		mux := http.NewServeMux()
		served.Register(mux, api.OnSocket)
		call := func(method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(body))
			r.Header.Set(api.CallerField, "root")
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			var sent []byte
			if body != "" {
				sent = []byte(body)
			}
			a.contract.check(t, method, path, sent, w.Result(), w.Body.Bytes())
			return w
		}
		var status api.Status
		if w := call("GET", "/status", ""); w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &status) != nil || status.Running != (name == "running") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		for _, path := range []string{"/devices", "/devices/a", "/hub", "/certificate", "/users", "/apikeys", "/audit", "/commands", "/dead-letters", "/devices/a/settings", "/session"} {
			if w := call("GET", path, ""); w.Code != 200 {
				t.Errorf("%s %s: %d %s", name, path, w.Code, w.Body)
			}
		}
		var made api.Fleet
		if w := call("POST", "/devices/batch", `{"devices":[{"id":"x"},{"id":"y","kind":"meter"}]}`); w.Code != 201 || json.Unmarshal(w.Body.Bytes(), &made) != nil || len(made.Devices) != 2 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := call("POST", "/devices/batch", `{"devices":[{"id":"z"},{"id":"x"}]}`); w.Code != 409 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := call("POST", "/devices/x/rotate", ""); w.Code != 200 || strings.Contains(w.Body.String(), "url") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		for _, id := range []string{"x", "y"} {
			if w := call("DELETE", "/devices/"+id, ""); w.Code != 204 {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
		}
		// Whoever has the machine may remove the last admin.
		call("POST", "/users", `{"name":"boss","password":"`+password+`","role":"admin"}`)
		if w := call("DELETE", "/users/boss", ""); w.Code != 204 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	entries, err := a.store.Audit.Entries(audit.Filter{Device: "y"})
	if err != nil || len(entries) != 4 || entries[0].By != "root" || entries[0].From != "command line" {
		t.Errorf("%+v %v", entries, err)
	}
}

func TestChangeDevice(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	var d api.Device
	for _, step := range []struct{ body, want string }{
		{`{}`, "telemetry map[]"},
		{`{"kind":"meter","labels":{"site":"north","floor":"2"}}`, "meter map[floor:2 site:north]"},
		{`{"labels":{"floor":null,"none":null}}`, "meter map[site:north]"},
		{`{"kind":"pump"}`, "pump map[site:north]"},
	} {
		d = api.Device{}
		a.call("admin", "PATCH", "/devices/a", step.body).wants(200, &d)
		if got := fmt.Sprint(d.Kind, " ", d.Labels); got != step.want || d.Device.Kind != d.Kind {
			t.Errorf("%s: %s, want %s", step.body, got, step.want)
		}
	}
	for _, body := range []string{`{"kind":""}`, `{"kind":"a b"}`, `{"labels":{"a b":"c"}}`, `{"labels":{"a":""}}`, `{"id":"b"}`, `{"labels":1}`} {
		a.call("admin", "PATCH", "/devices/a", body).wants(400, nil)
	}
	a.call("admin", "PATCH", "/devices/none", `{}`).wants(404, nil)
	eventually(t, "the feed has it", func() bool {
		got, _ := a.feed.Device("a")
		return got.Device.Kind == "pump" && got.Device.Labels["site"] == "north"
	})
	var page api.Devices
	a.get("/devices?label=site%3Dnorth", &page)
	if len(page.Devices) != 1 {
		t.Errorf("%+v", page)
	}
}

func TestDeadLettersAnswer(t *testing.T) {
	a := newAPI(t, rigOptions{}, "a")
	for range 3 {
		a.reject("a")
	}
	var got api.DeadLetters
	a.get("/dead-letters", &got)
	if len(got.Letters) != 3 {
		t.Fatalf("%d letters", len(got.Letters))
	}
	if l := got.Letters[0]; l.Device != "a" || l.Text != "it is cut" || string(l.Message) != "\x01\x02\x03" || l.Code != 1 || l.Reason != device.RejectMalformed.String() {
		t.Errorf("a letter: %+v", l)
	}
	var page api.DeadLetters
	a.get(fmt.Sprintf("/dead-letters?cursor=%d&limit=1", got.Letters[0].Position), &page)
	if len(page.Letters) != 1 || page.Letters[0].Position != got.Letters[1].Position {
		t.Errorf("a page: %+v", page)
	}
	var dropped api.Dropped
	a.call("admin", "DELETE", fmt.Sprintf("/dead-letters?position=%d&position=999", got.Letters[1].Position), nil).wants(200, &dropped)
	a.get("/dead-letters", &page)
	if dropped.Dropped != 1 || len(page.Letters) != 2 {
		t.Errorf("%d dropped, %d left", dropped.Dropped, len(page.Letters))
	}
	a.call("admin", "DELETE", "/dead-letters?all=true", nil).wants(200, &dropped)
	if dropped.Dropped != 2 {
		t.Errorf("%d dropped", dropped.Dropped)
	}
}
