package dashboard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// fenced returns what LIVE.md has in a block of this language.
func fenced(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("LIVE.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatalf("there is no %s in LIVE.md", language)
	}
	return string(m[1])
}

// TestLiveMessagesFitTheirSchemas compares messages of all destinations with LIVE.md.
func TestLiveMessagesFitTheirSchemas(t *testing.T) {
	a := newAPI(t, rigOptions{})
	a.obeys("a")
	s := newSensor(a, "s")
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(fenced(t, "json")))
	if err != nil {
		t.Fatal(err)
	}
	strict(doc)
	if err := a.contract.compiler.AddResource("https://hub/live.json", doc); err != nil {
		t.Fatal(err)
	}
	schemas := doc.(map[string]any)["$defs"].(map[string]any)
	kinds := map[string]bool{}
	destinations := map[string]string{} // by subscription
	var subs []string
	for name := range schemas {
		if name == "Event" {
			continue
		}
		for _, id := range []string{"a", "s"} {
			sub := name + " " + id
			destinations[sub] = name
			subs = append(subs, sub+"|"+strings.ReplaceAll(name, "{id}", id))
		}
	}
	e := a.events(subs)
	for i := range 5 {
		s.send(time.Now(), 2100+i, 1.5, 2.5, 1, "on")
		a.call("operator", "POST", "/devices/a/commands?wait=10s", map[string]any{"id": device.NewCommandID(), "name": "blink"}).wants(200, nil)
		a.call("operator", "PUT", "/devices/a/settings/setpoint", map[string]any{"value": 20 + i}).wants(200, nil)
	}
	a.call("operator", "DELETE", "/devices/a/settings/setpoint", nil).wants(204, nil)
	for deadline := time.Now().Add(patience); len(kinds) < 2*len(destinations)-4 && time.Now().Before(deadline); { // the queue and /s/commands have no news
		if !e.body.Scan() {
			t.Fatal("the stream ended")
		}
		data, ok := strings.CutPrefix(e.body.Text(), "data: ")
		if !ok {
			continue
		}
		var event struct {
			Subscription string
			Body         json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			t.Fatal(err)
		}
		name := destinations[event.Subscription]
		validate := func(of string, text []byte) {
			schema, err := a.contract.compiler.Compile("https://hub/live.json#/$defs/" + strings.NewReplacer("/", "~1", "{", "%7B", "}", "%7D").Replace(of))
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
			if err == nil {
				err = schema.Validate(value)
			}
			if err != nil {
				t.Errorf("%s: %v\n%.1000s", of, err, text)
			}
		}
		validate("Event", []byte(data))
		validate(name, event.Body)
		kind := "update"
		if bytes.Contains(event.Body, []byte(`"kind":"snapshot"`)) {
			kind = "snapshot"
		}
		kinds[event.Subscription+kind] = true
	}
	for sub := range destinations {
		if !kinds[sub+"snapshot"] && !kinds[sub+"update"] {
			t.Errorf("%s: no message", sub)
		}
	}
}

// TestLiveClients runs the clients of LIVE.md: each shows a value.
func TestLiveClients(t *testing.T) {
	a := newAPI(t, rigOptions{})
	s := newSensor(a, "s")
	s.send(time.Now(), 2134)
	dir, ca := t.TempDir(), filepath.Join(a.store.Dir(), "tls/ca.pem")
	for language, c := range map[string]struct {
		file, env, command string
	}{
		"js":     {"live.mjs", "NODE_EXTRA_CA_CERTS=" + ca, "node"},
		"python": {"live.py", "", "python3"},
		"go":     {"live.go", "SSL_CERT_FILE=" + ca, "go"},
	} {
		t.Run(language, func(t *testing.T) {
			file := filepath.Join(dir, c.file)
			if err := os.WriteFile(file, []byte(fenced(t, language)), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			args := []string{c.command, file, "https://" + a.addr, a.key}
			switch language {
			case "python":
				args = append(args, ca)
			case "go": // not go run, which leaves what it has started
				program := filepath.Join(dir, "live")
				if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, file).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				args = append([]string{program}, args[2:]...)
			}
			cmd := exec.CommandContext(ctx, args[0], args[1:]...)
			cmd.Env = append(os.Environ(), c.env)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "s temperature 21.34 Cel" {
			}
			if got := lines.Text(); got != "s temperature 21.34 Cel" {
				t.Errorf("%q: %s", got, complaints.Bytes())
			}
			cancel()
			_ = cmd.Wait()
		})
	}
}
