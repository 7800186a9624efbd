package dashboard

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// eventReader reads an event stream.
type eventReader struct {
	t    testing.TB
	body *bufio.Scanner
}

// sentEvent is one event.
type sentEvent struct {
	id, kind string
	data     struct {
		Subscription, Destination, Epoch string
		Offset                           uint64
		Resumed                          *bool
		Missed                           *int64
		Dropped                          uint64
		Body                             map[string]any
		Error                            string
	}
}

// events opens a stream with these subscriptions.
func (r *liveRig) events(subs []string, more ...string) *eventReader {
	r.t.Helper()
	res, _ := r.ask(r.eventLines(subs, append(more, "Authorization: Bearer "+r.key)...)...)
	h := res.Header
	if res.StatusCode != 200 || h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || h.Get("Cache-Control") != "no-store" {
		b, _ := io.ReadAll(res.Body)
		r.t.Fatalf("%s %v %s", res.Status, h, b)
	}
	scanner := bufio.NewScanner(res.Body)
	scanner.Buffer(nil, 16<<20)
	return &eventReader{t: r.t, body: scanner}
}

func (r *liveRig) eventLines(subs []string, more ...string) []string {
	return append([]string{"GET /v1/events?" + url.Values{"sub": subs}.Encode() + " HTTP/1.1", "Host: " + r.addr}, more...)
}

// next returns the next event, nil at the end of the stream; comments are passed over and counted.
func (e *eventReader) next(comments *int) *sentEvent {
	e.t.Helper()
	var ev sentEvent
	for e.body.Scan() {
		line := e.body.Text()
		name, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "":
			if ev.kind != "" {
				return &ev
			}
		case strings.HasPrefix(line, ":"):
			*comments++
		case name == "id":
			ev.id = value
		case name == "event":
			ev.kind = value
		case name == "data":
			if err := json.Unmarshal([]byte(value), &ev.data); err != nil {
				e.t.Fatalf("%v: %s", err, line)
			}
		case name == "retry":
		default:
			e.t.Fatalf("unexpected line %q", line)
		}
	}
	return nil
}

// message returns the next event of a subscription.
func (e *eventReader) message(sub string) *sentEvent {
	e.t.Helper()
	var comments int
	for {
		ev := e.next(&comments)
		if ev == nil {
			e.t.Fatalf("the stream ended: %v", e.body.Err())
		}
		if ev.kind == "message" && ev.data.Subscription == sub {
			return ev
		}
	}
}

func TestEventStream(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{}, "pump")
	e := r.events([]string{"1|/topic/hub", "b|/topic/devices/pump/readings", "c|/topic/devices|state=never&sort=-id"})
	snapshots := map[string]bool{}
	for len(snapshots) < 3 {
		var comments int
		ev := e.next(&comments)
		if ev.data.Subscription != "1" && !snapshots[ev.data.Subscription] && ev.data.Body["kind"] != "snapshot" || ev.data.Epoch != r.feed.Epoch() || ev.data.Resumed != nil {
			t.Errorf("%+v", ev)
		}
		snapshots[ev.data.Subscription] = true
	}
	r.read("pump", 2134)
	for !strings.Contains(fmt.Sprint(e.message("b").data.Body), "21.34") {
	}
	if ev := e.message("c"); ev.data.Body["matched"] != 0.0 {
		t.Errorf("%+v", ev)
	}
}

func TestEventStreamResumes(t *testing.T) {
	r := newLiveRig(t, rigOptions{}, "pump")
	subs := []string{"a|/topic/devices/pump/readings", "b|/topic/devices"}
	e := r.events(subs)
	id, seen := "", map[string]uint64{}
	for n := 0; n < 20 || id == ""; n++ {
		var comments int
		r.read("pump", int64(n))
		ev := e.next(&comments)
		seen[ev.data.Subscription] = ev.data.Offset
		if ev.id == "" {
			continue
		}
		// Nothing up to the position may be missing in any of the subscriptions.
		id = ev.id
		at := parseEventID(id)
		if len(seen) < 2 || at == nil || at.Epoch != ev.data.Epoch || at.Offset > seen["a"] || at.Offset > seen["b"] {
			t.Fatalf("id %q after %v", id, seen)
		}
	}
	at := parseEventID(id)
	own := "|epoch=" + at.Epoch + "&offset=" + strings.TrimPrefix(id, at.Epoch+":")
	for name, e := range map[string]*eventReader{
		"by Last-Event-ID": r.events(subs, "Last-Event-ID: "+id),
		"by parameters":    r.events([]string{subs[0] + own, subs[1] + own}),
	} {
		for first := map[string]bool{}; len(first) < 2; {
			var comments int
			ev := e.next(&comments)
			sub := ev.data.Subscription
			if first[sub] {
				if ev.data.Resumed != nil {
					t.Errorf("%s: %s: said twice", name, sub)
				}
				continue
			}
			first[sub] = true
			if ev.data.Resumed == nil || !*ev.data.Resumed || ev.data.Missed == nil || *ev.data.Missed != 0 || ev.data.Body["kind"] != "update" {
				t.Errorf("%s: %s: %+v", name, sub, ev)
			}
		}
	}
	ev := r.events(subs[:1], "Last-Event-ID: other:5").message("a")
	if ev.data.Resumed == nil || *ev.data.Resumed || *ev.data.Missed != -1 || ev.data.Body["kind"] != "snapshot" {
		t.Errorf("%+v", ev)
	}
	if ev := r.events(subs[:1], "Last-Event-ID: nonsense").message("a"); ev.data.Resumed != nil {
		t.Errorf("%+v", ev)
	}
}

func TestEventStreamRefusals(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	if err := r.store.Accounts.AddUser("ann", password, accounts.RoleViewer); err != nil {
		t.Fatal(err)
	}
	secret, _, err := r.store.Accounts.OpenSession("ann")
	if err != nil {
		t.Fatal(err)
	}
	bearer, cookie := "Authorization: Bearer "+r.key, "Cookie: __Host-session="+secret
	hub := []string{"1|/topic/hub"}
	for _, c := range []struct {
		name   string
		subs   []string
		lines  []string
		status int
	}{
		{"script", hub, []string{bearer}, 200},
		{"own page", hub, []string{cookie, "Sec-Fetch-Site: same-origin"}, 200},
		{"own page, with Origin", hub, []string{cookie, "Origin: https://" + r.addr}, 200},
		{"nobody", hub, nil, 401},
		{"session of before", hub, []string{"Cookie: __Host-session=ths_x", "Sec-Fetch-Site: same-origin"}, 401},
		{"other site", hub, []string{cookie, "Sec-Fetch-Site: cross-site"}, 403},
		{"other origin", hub, []string{cookie, "Origin: https://evil.example"}, 403},
		{"cookie without a browser", hub, []string{cookie}, 403},
		{"no subscription", nil, []string{bearer}, 400},
		{"no destination", []string{"1"}, []string{bearer}, 400},
		{"empty destination", []string{"1|"}, []string{bearer}, 400},
		{"unknown destination", []string{"1|/topic/x"}, []string{bearer}, 400},
		{"bad parameter", []string{"1|/topic/devices|sort=color"}, []string{bearer}, 400},
		{"bad encoding", []string{"1|/topic/devices|q=%zz"}, []string{bearer}, 400},
		{"position without offset", []string{"1|/topic/devices|epoch=a"}, []string{bearer}, 400},
		{"twice the same", []string{"1|/topic/hub", "1|/topic/hub"}, []string{bearer}, 400},
	} {
		res, _ := r.ask(r.eventLines(c.subs, c.lines...)...)
		if res.StatusCode != c.status {
			t.Errorf("%s: %s", c.name, res.Status)
		}
	}
	lines := r.eventLines(hub, bearer)
	lines[0] = strings.Replace(lines[0], "GET", "HEAD", 1)
	if res, _ := r.ask(lines...); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("HEAD: %s", res.Status)
	}
}

func TestEventStreamPingsAndEnds(t *testing.T) {
	t.Parallel()
	r := newLiveRig(t, rigOptions{pace: func(p *livePace) { p.ping, p.look = 20*time.Millisecond, 10*time.Millisecond }})
	e := r.events([]string{"1|/topic/hub"})
	var comments int
	for comments < 3 {
		if e.next(&comments) == nil {
			t.Fatal("the stream ended")
		}
	}
	if err := r.store.Accounts.RemoveAPIKey("reader"); err != nil {
		t.Fatal(err)
	}
	for {
		ev := e.next(&comments)
		if ev == nil {
			t.Fatal("it ended without a word")
		}
		if ev.kind == "error" && ev.data.Error == "session-expired" {
			break
		}
	}
	if ev := e.next(&comments); ev != nil {
		t.Errorf("%+v", ev)
	}
	eventually(t, "nobody is there", func() bool { return r.watching() == 0 })
}

func TestEventStreamEndsWithTheHub(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	e := r.events([]string{"1|/topic/hub"})
	e.message("1")
	go r.stop()
	var comments int
	for e.next(&comments) != nil {
	}
	if err := e.body.Err(); err != nil {
		t.Error(err)
	}
	eventually(t, "nobody is there", func() bool { return r.watching() == 0 })
}

func TestEventStreamOfOneWhoDoesNotRead(t *testing.T) {
	r := newLiveRig(t, rigOptions{tick: time.Millisecond, pace: func(p *livePace) { p.write = 300 * time.Millisecond }}, "pump")
	subs := make([]string, 50)
	for i := range subs {
		subs[i] = string(rune('A'+i)) + "|/topic/devices/*/readings"
	}
	_, c := r.ask(r.eventLines(subs, "Authorization: Bearer "+r.key)...)
	began := time.Now()
	for i := 0; r.watching() > 0; i++ {
		r.read("pump", int64(i))
		if time.Since(began) > patience {
			t.Fatal("still there")
		}
		time.Sleep(time.Millisecond)
	}
	c.closeTCP()
}

func FuzzParseSub(f *testing.F) {
	f.Add("1|/topic/hub|epoch=a&offset=1", "a:1")
	f.Add("1|/topic/devices|q=%20", ":")
	f.Fuzz(func(t *testing.T, text, id string) {
		if sub, err := parseSub(text); err == nil {
			if !strings.HasPrefix(text, sub.id+"|"+sub.destination) || sub.destination == "" || sub.resume != nil && sub.params["epoch"] != sub.resume.Epoch {
				t.Errorf("%q: %+v", text, sub)
			}
		}
		if at := parseEventID(id); at != nil && !strings.HasPrefix(id, at.Epoch+":") {
			t.Errorf("%q: %+v", id, at)
		}
	})
}
