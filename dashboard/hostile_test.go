package dashboard

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// Parameters that there are not are refused, over STOMP and in event streams alike: hundreds of subscriptions with 256 KiB of them
// each must not stay in memory, and one of them may be a slip of the pen. So are two of one name.
func TestSubscriptionTakesNothingForeign(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	for _, c := range []struct{ destination, params, says string }{
		{"/topic/devices", "quantity=7", "no parameter"}, {"/topic/devices", "count=7&count=8", "given twice"},
		{"/topic/hub", "count=7", "no parameter"}, {"/topic/devices/a/readings", "q=x", "no parameter"},
	} {
		stomp := r.connect()
		stomp.send(subscribeFrame("1", c.destination, strings.Split(strings.ReplaceAll(c.params, "=", ":"), "&")...))
		stomp.fails(4000, c.says, "")
		w := httptest.NewRecorder()
		req := httptest.NewRequest("GET", "/v1/events?sub="+url.QueryEscape("1|"+c.destination+"|"+c.params), nil)
		req.Header.Set("Authorization", "Bearer "+r.key)
		req.Host = "localhost"
		r.Handler().ServeHTTP(w, req)
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s?%s in an event stream: %d %s", c.destination, c.params, w.Code, w.Body)
		}
	}
	c := r.connect()
	headers := []string{"count:7"}
	for i := range 50 {
		headers = append(headers, fmt.Sprintf("x-%d:%s", i, strings.Repeat("x", 4000)))
	}
	frame := subscribeFrame("1", "/topic/devices", headers...)
	for len(frame) > 0 {
		part := frame[:min(len(frame), 60_000)]
		c.send(part)
		frame = frame[len(part):]
	}
	c.fails(4000, "no parameter", "")
}

func TestSubscriptionsHaveShortParameters(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	long := strings.Repeat("x", maxDestination+1)
	c := r.connect()
	c.send(subscribeFrame(long, "/topic/hub"))
	c.fails(4000, "at most 256 bytes", "")
	c = r.connect()
	c.send(subscribeFrame("1", "/topic/hub", "epoch:"+long, "offset:1"))
	c.fails(4000, "at most 256 bytes", "")
}

// onceWriter is a slow viewer's connection, as far as a stream of events sees it.
type onceWriter struct {
	http.ResponseWriter
	stream *eventStream
	most   int // bytes that waited in the stream's buffer
	wrote  int
	limit  int // of wrote: then the viewer goes
}

func (w *onceWriter) Write(b []byte) (int, error) {
	w.most = max(w.most, len(b)+w.stream.buffer.Len())
	if w.wrote += len(b); w.wrote > w.limit {
		return 0, http.ErrAbortHandler
	}
	return len(b), nil
}

func (w *onceWriter) Flush()                           {}
func (w *onceWriter) SetWriteDeadline(time.Time) error { return nil }

// Snapshots that many subscriptions of one viewer are due are not gathered before they are sent: of many devices, each is megabytes.
func TestEventStreamHoldsOneMessage(t *testing.T) {
	devices := make([]string, 20)
	for i := range devices {
		devices[i] = fmt.Sprintf("device-%d", i)
	}
	r := newLiveRig(t, rigOptions{}, devices...)
	w := &onceWriter{ResponseWriter: httptest.NewRecorder()}
	s := &eventStream{d: r.Dashboard, w: w, rc: http.NewResponseController(w), over: make(chan struct{}), subs: map[string]*eventSub{}}
	w.stream, s.feed = s, r.feed.Viewer()
	defer s.feed.Close()
	body := 0
	for i := range 4 {
		id := fmt.Sprint(i)
		s.subs[id] = &eventSub{id: id}
		if err := s.feed.Subscribe(id, "/topic/devices/*/readings", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	other := r.feed.Viewer()
	defer other.Close()
	if err := other.Subscribe("1", "/topic/devices/*/readings", nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, u := range other.Take(nil) {
		body = len(u.Body)
	}
	w.limit = 3 * body
	if err := s.run(nil); err != http.ErrAbortHandler {
		t.Fatal(err)
	}
	if body < 1000 || w.most > 2*body+1000 {
		t.Errorf("%d bytes waited to be sent at a time, one message has %d", w.most, body)
	}
}

// What was sent before the connection was cut counts (checklist S-77).
func TestS77SendOfAClientThatVanishes(t *testing.T) {
	r := newLiveRig(t, rigOptions{})
	r.obeys("d")
	c := r.connectUser("anna", accounts.RoleOperator)
	id := device.NewCommandID()
	c.order("d", countBody(id, 1))
	_ = c.conn.NetConn().Close()
	eventually(t, "the command is there", func() bool {
		_, err := r.store.Commands.Get(id)
		return err == nil
	})
}
