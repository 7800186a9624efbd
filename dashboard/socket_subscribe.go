package dashboard

import (
	"errors"
	"slices"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// maxUnacked is how many MESSAGEs of a subscription may wait for their ACK. Then it gets no more; what changes meanwhile it
// gets afterwards, in its newest state.
const maxUnacked = 1000

// subscription is what a client has subscribed to.
type subscription struct {
	// static
	id          string // the client's
	destination string
	params      map[string]string
	ack         string // auto, client or client-individual

	// guarded by liveConn.mu
	feed     string        // id in the feed: a new one each time, so that nothing of an older one is taken for it
	resuming bool          // the next message says whether it goes on where it was asked to
	position live.Position // of the last message
	unacked  []uint64      // numbers of the MESSAGEs without ACK, ascending
}

// sent notes that a MESSAGE goes out, and reports whether it is to be acknowledged.
func (s *subscription) sent(number uint64) bool {
	if s.ack == "auto" {
		return false
	}
	s.unacked = append(s.unacked, number)
	return true
}

func (s *subscription) full() bool { return len(s.unacked) >= maxUnacked }

// subscribeHeaders are those of SUBSCRIBE that are no parameters of what is subscribed to.
var subscribeHeaders = []string{"id", "destination", "ack", "receipt"}

// listParameters are those of /topic/devices; every topic has epoch and offset besides.
var listParameters = []string{"q", "state", "label", "sort", "first", "count"}

// takeParameter enters a parameter of a subscription, over STOMP as in an event stream. One that there is not may be a slip of the
// pen, and two of one name are not what somebody meant.
func takeParameter(params map[string]string, destination, name, value string) error {
	known := name == "epoch" || name == "offset" || destination == "/topic/devices" && slices.Contains(listParameters, name)
	_, twice := params[name]
	switch {
	case !known:
		return wrong("%s has no parameter %.40q", destination, name)
	case twice:
		return wrong("%s is given twice", name)
	case len(value) > api.MaxParameter:
		return wrong("%s may have at most %d bytes", name, api.MaxParameter)
	}
	params[name] = value
	return nil
}

// subscribe takes SUBSCRIBE.
func (c *liveConn) subscribe(f *stomp.Frame) error {
	id, hasID := f.Headers.Get("id")
	destination, ok := f.Headers.Get("destination")
	if !hasID || !ok || len(id) > maxDestination || len(destination) > maxDestination {
		return wrong("SUBSCRIBE needs an id and a destination of at most %d bytes", maxDestination)
	}
	s := &subscription{id: id, destination: destination, ack: "auto", params: map[string]string{}}
	for _, h := range f.Headers {
		if slices.Contains(subscribeHeaders, h.Name) {
			continue
		}
		if err := takeParameter(s.params, destination, h.Name, h.Value); err != nil {
			return err
		}
	}
	if ack, ok := f.Headers.Get("ack"); ok {
		s.ack = ack
	}
	switch s.ack {
	case "auto", "client", "client-individual":
	default:
		return wrong("ack must be auto, client or client-individual")
	}
	resume, err := positionOf(s.params)
	if err != nil {
		return err
	}
	s.resuming = resume != nil

	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.subs[id] != nil:
		return wrong("there is a subscription with this id already")
	case len(c.subs) >= maxSubscriptions:
		return wrong("a connection may have at most %d subscriptions", maxSubscriptions)
	}
	if err := c.join(s, resume); err != nil {
		return wrong("%s", subscribeText(err))
	}
	c.subs[id] = s
	return nil
}

// positionOf returns where a viewer wants to go on, nil if it does not say.
func positionOf(params map[string]string) (*live.Position, error) {
	epoch, ok := params["epoch"]
	if !ok {
		return nil, nil
	}
	offset, err := strconv.ParseUint(params["offset"], 10, 64)
	if err != nil {
		return nil, wrong("epoch needs an offset: those of the last message")
	}
	return &live.Position{Epoch: epoch, Offset: offset}, nil
}

// subscribeText is what the client is told of an error of the feed.
func subscribeText(err error) string {
	for _, told := range []error{live.ErrNoTopic, live.ErrBadList, live.ErrTooManyLists, live.ErrTooManyFleets} {
		if errors.Is(err, told) {
			return err.Error()
		}
	}
	return "the subscription failed"
}

// join subscribes in the feed. mu is held.
func (c *liveConn) join(s *subscription, resume *live.Position) error {
	c.numbered++
	feed := strconv.FormatUint(c.numbered, 10)
	if err := c.feed.Subscribe(feed, s.destination, s.params, resume); err != nil {
		return err
	}
	s.feed = feed
	c.feeds[feed] = s
	return nil
}

// hold lets the feed send nothing more to a subscription. mu is held.
func (c *liveConn) hold(s *subscription) {
	_ = c.feed.Unsubscribe(s.feed) // there is one
	delete(c.feeds, s.feed)
	s.feed = ""
}

// unsubscribe takes UNSUBSCRIBE.
func (c *liveConn) unsubscribe(f *stomp.Frame) error {
	id := f.Headers.Value("id")
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.subs[id]
	if s == nil {
		return wrong("there is no subscription with this id")
	}
	if s.feed != "" {
		c.hold(s)
	}
	delete(c.subs, id)
	return nil
}

// acknowledge takes ACK and NACK. They mean the same here: a live feed tells the newest state, and repeats nothing.
func (c *liveConn) acknowledge(f *stomp.Frame) error {
	number, err := strconv.ParseUint(f.Headers.Value("id"), 10, 64)
	if err != nil {
		return wrong("%s needs the id in the ack header of a MESSAGE", f.Command)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		at, found := slices.BinarySearch(s.unacked, number)
		if !found {
			continue
		}
		first := at
		if s.ack == "client" { // all before it too
			first = 0
		}
		s.unacked = slices.Delete(s.unacked, first, at+1)
		if s.feed == "" && !s.full() {
			s.resuming = true
			if err := c.join(s, &s.position); err != nil {
				return wrong("%s", subscribeText(err))
			}
		}
		return nil
	}
	return wrong("%s of a MESSAGE that waits for none", f.Command)
}
