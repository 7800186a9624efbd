package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// serveEvents streams what /v1/live sends as server-sent events (WHATWG HTML §9.2), for where WebSockets are blocked, and
// for curl. Each sub parameter is one subscription: ID|DESTINATION, or ID|DESTINATION|PARAMETERS.
func (d *Dashboard) serveEvents(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // it would be streamed to HEAD without end
		w.Header().Set("Allow", http.MethodGet)
		api.Fail(w, http.StatusMethodNotAllowed, "method_not_allowed", "use GET", "")
		return
	}
	id, ok := d.identifyViewer(w, r)
	if !ok {
		return
	}
	if id == nil {
		d.api.Unauthenticated(w)
		return
	}
	wanted, err := parseSubs(r)
	if err != nil {
		api.Fail(w, http.StatusBadRequest, "bad_parameter", err.Error(), "for example ?sub=1|/topic/hub, url-encoded")
		return
	}
	place, err := d.viewers.enter(accountOf(*id))
	if err != nil {
		full(w, err)
		return
	}
	s := &eventStream{d: d, w: w, rc: http.NewResponseController(w), identity: *id, over: make(chan struct{}), subs: map[string]*eventSub{}}
	s.feed = d.feed.Viewer()
	s.feed.Is(actorName(*id))
	defer func() {
		s.feed.Close()
		place.leave()
	}()
	for i := range wanted {
		sub := &wanted[i]
		s.subs[sub.id] = sub
		if err := s.feed.Subscribe(sub.id, sub.destination, sub.params, sub.resume); err != nil {
			api.Fail(w, http.StatusBadRequest, "bad_parameter", sub.id+": "+subscribeText(err), "")
			return
		}
	}
	if !d.viewers.add(place, s) {
		full(w, errViewersClosed)
		return
	}
	hub.Admit(r, sendBuffer)
	began := time.Now()
	d.log.Info("viewer connected", "user", id.Name, "address", r.RemoteAddr, "path", r.URL.Path)
	err = s.run(r.Context().Done())
	d.log.Info("viewer left", "user", id.Name, "address", r.RemoteAddr, "duration", time.Since(began).Round(time.Millisecond),
		"messages", s.messages, "reason", s.why(err))
}

// eventStream is one stream of server-sent events.
type eventStream struct {
	// static
	d    *Dashboard
	rc   *http.ResponseController
	feed *live.Viewer
	over chan struct{} // closed when the stream is to end

	// owned by run
	w        http.ResponseWriter
	subs     map[string]*eventSub
	buffer   bytes.Buffer
	messages uint64

	// guarded by mu
	mu       sync.Mutex
	identity accounts.Identity
	reason   string // why it is to end
}

// run writes until the viewer is gone or has to go.
func (s *eventStream) run(gone <-chan struct{}) error {
	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would keep events until it has many
	header.Set("Connection", "close")
	s.w.WriteHeader(http.StatusOK)
	// When the hub restarts, not all should come back at once.
	fmt.Fprintf(&s.buffer, "retry: %d\n\n", 1000+rand.IntN(4000))
	if err := s.flush(); err != nil {
		return err
	}
	ping := time.NewTicker(s.d.livePace.ping)
	defer ping.Stop()
	var updates []live.Update
	for {
		select {
		case <-gone:
			return nil
		case <-s.over:
			if reason := s.why(nil); reason == sessionExpired {
				s.event("error", "", []byte(`{"error":"`+reason+`"}`))
			}
			return s.flush()
		case <-ping.C:
			s.buffer.WriteString(": ping\n\n")
		case <-s.feed.C():
			updates = s.feed.Take(updates[:0])
			for i := range updates {
				s.update(&updates[i], i == len(updates)-1)
				if err := s.flush(); err != nil { // each at once: they may be large
					return err
				}
			}
			clear(updates) // the bodies may be large
		}
		if err := s.flush(); err != nil {
			return err
		}
	}
}

// update writes one event. Only the last of those taken together carries an id: a browser that comes back with it has seen
// the others too.
func (s *eventStream) update(u *live.Update, last bool) {
	sub := s.subs[u.ID]
	head := struct {
		Subscription string `json:"subscription"`
		Destination  string `json:"destination"`
		Epoch        string `json:"epoch"`
		Offset       uint64 `json:"offset"`
		Resumed      *bool  `json:"resumed,omitempty"` // in the first event, if the viewer asked to go on somewhere
		Missed       *int64 `json:"missed,omitempty"`  // likewise: readings; -1: unknown
		Dropped      uint64 `json:"dropped,omitempty"`
	}{Subscription: u.ID, Destination: u.Destination, Epoch: u.Epoch, Offset: u.Offset, Dropped: u.Dropped}
	if sub.resume != nil {
		head.Resumed, head.Missed = &u.Resumed, &u.Missed
		sub.resume = nil
	}
	sub.seen = u.Offset
	s.messages++
	data, err := json.Marshal(head)
	if err != nil {
		panic(err) // it has neither channels nor cycles
	}
	id := ""
	if at := s.position(); last && at > 0 {
		id = fmt.Sprintf("%s:%d", u.Epoch, at)
	}
	s.event("message", id, data[:len(data)-1], []byte(`,"body":`), u.Body, []byte("}"))
}

// position is up to where everything was sent; 0 while there are subscriptions of which nothing was.
func (s *eventStream) position() uint64 {
	first := true
	var at uint64
	for _, sub := range s.subs {
		if first || sub.seen < at {
			at = sub.seen
		}
		first = false
	}
	return at
}

// event appends one event. Its data is one line: JSON has no line ends but those between its tokens, and these are not used.
func (s *eventStream) event(kind, id string, data ...[]byte) {
	if id != "" {
		s.buffer.WriteString("id: " + id + "\n")
	}
	s.buffer.WriteString("event: " + kind + "\ndata: ")
	for _, part := range data {
		s.buffer.Write(part)
	}
	s.buffer.WriteString("\n\n")
}

// flush sends what is in the buffer. Each part of it has its own deadline: a viewer is slow if it takes less than that.
func (s *eventStream) flush() error {
	for s.buffer.Len() > 0 {
		if err := s.rc.SetWriteDeadline(time.Now().Add(s.d.livePace.write)); err != nil {
			return err
		}
		if _, err := s.w.Write(s.buffer.Next(64 << 10)); err != nil {
			return err
		}
		if err := s.rc.Flush(); err != nil {
			return err
		}
	}
	if s.buffer.Cap() > 1<<20 { // after a long snapshot
		s.buffer = bytes.Buffer{}
	}
	return nil
}

// look checks that the viewer may stay.
func (s *eventStream) look() {
	s.mu.Lock()
	id := s.identity
	s.mu.Unlock()
	present, err := s.d.store.Accounts.Recheck(id)
	if err != nil || !present.Role.Allows(accounts.RoleViewer) {
		s.end(sessionExpired)
	}
}

// sendAway ends the stream for a reason that is not its own.
func (s *eventStream) sendAway(_ device.CloseCode, why string) { s.end(why) }

func (s *eventStream) end(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		s.reason = reason
		close(s.over)
	}
}

// why is why the stream ended.
func (s *eventStream) why(err error) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.reason != "":
		return s.reason
	case err != nil:
		return err.Error()
	default:
		return "closed by the viewer"
	}
}
