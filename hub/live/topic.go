package live

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	hubDestination  = "/topic/hub"
	listDestination = "/topic/devices"
	devicePrefix    = "/topic/devices/"
	readingsSuffix  = "/readings"

	fleetDestination = devicePrefix + "*" + readingsSuffix
)

// ErrNoTopic is wrapped by the errors for destinations that don't exist. That of a device exists whether or not there is such
// a device.
var ErrNoTopic = errors.New("no such destination")

const (
	// idleSeconds is how long a topic that nobody watches any more is kept, so that who comes back misses nothing.
	idleSeconds = keepSeconds
	maxIdle     = 256 // topics kept so
)

// content is what a topic is about.
type content interface {
	// advance is called when a tick has ended, and reports whether the topic's viewers have something to see that they
	// had not before. With second, a second has passed.
	advance(cut uint64, second bool) bool

	// covers reports whether an update can tell all that has changed since the end of a tick.
	covers(since uint64) bool

	// body makes the message for those who have seen everything up to the end of the tick since; of a snapshot, for
	// those who have seen nothing.
	body(since, cut uint64, snapshot bool) []byte

	// close releases what was kept for the topic.
	close()
}

// topic is what some viewers watch together: one destination with one set of parameters.
type topic struct {
	// static
	key     string
	content content

	// guarded by Feed.watching
	refs int    // subscriptions
	idle uint64 // tick since which there are none

	changed atomic.Uint64 // the last tick in which something changed

	mu      sync.Mutex
	cut     uint64            // the last tick that is over
	changes uint64            // in how many ticks something has changed
	bodies  map[uint64][]byte // messages made since then, by since
	whole   []byte            // snapshot made since then
}

// advance is called for every topic when a tick has ended.
func (t *topic) advance(cut uint64, second bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cut, t.whole = cut, nil
	clear(t.bodies)
	if t.content.advance(cut, second) {
		t.changes++
		t.changed.Store(cut)
	}
}

// taken is a message of a topic.
type taken struct {
	body     []byte
	snapshot bool
	cut      uint64 // it tells everything up to the end of this tick
	changes  uint64 // in how many ticks something had changed until then
}

// take returns the message for somebody who has seen everything up to the end of the tick since, or nothing.
func (t *topic) take(since uint64, nothing bool) taken {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := taken{cut: t.cut, changes: t.changes, snapshot: nothing || !t.content.covers(since)}
	if m.snapshot {
		if t.whole == nil {
			t.whole = t.content.body(0, t.cut, true)
		}
		m.body = t.whole
		return m
	}
	if m.body = t.bodies[since]; m.body == nil {
		m.body = t.content.body(since, t.cut, false)
		t.bodies[since] = m.body
	}
	return m
}

// covers reports whether somebody who has seen everything up to the end of the tick since can go on from there.
func (t *topic) covers(since uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return since <= t.cut && t.content.covers(since)
}

// join returns the topic of a destination and counts one more who watches it.
func (f *Feed) join(user, destination string, params map[string]string) (*topic, error) {
	key, open, err := f.find(user, destination, params)
	if err != nil {
		return nil, err
	}
	f.watching.Lock()
	defer f.watching.Unlock()
	t := f.topics[key]
	if t == nil {
		t = &topic{key: key, cut: f.cut.Load(), bodies: map[uint64][]byte{}}
		t.changed.Store(t.cut)
		t.content = open(t.cut)
		f.topics[key] = t
	}
	t.refs++
	return t, nil
}

// find says what makes the topic of a destination, and by which key it is shared.
func (f *Feed) find(user, destination string, params map[string]string) (key string, open func(cut uint64) content, err error) {
	switch destination {
	case hubDestination:
		return destination, f.newHubTopic, nil
	case listDestination:
		list, err := ParseList(params)
		if err != nil {
			return "", nil, err
		}
		return destination + " " + list.key(), func(cut uint64) content { return f.newWindow(list, cut) }, nil
	case QueueDestination:
		if user == "" {
			return "", nil, fmt.Errorf("%w: it is not known who watches", ErrNoTopic)
		}
		return destination + " " + user, func(cut uint64) content { return f.newCommandTopic(commandKey{user: user}, cut) }, nil
	}
	id, ok := strings.CutPrefix(destination, devicePrefix)
	id, commands := strings.CutSuffix(id, commandsSuffix)
	id, readings := strings.CutSuffix(id, readingsSuffix)
	switch {
	case !ok || commands == readings || id == "" || len(id) > device.MaxName || strings.Contains(id, "/"):
		return "", nil, fmt.Errorf("%w: there are %s, %s, %[4]s{id or *}%s, %[4]s{id}%s and %s", ErrNoTopic,
			hubDestination, listDestination, devicePrefix, readingsSuffix, commandsSuffix, QueueDestination)
	case commands && id == "*":
		return "", nil, fmt.Errorf("%w: commands are told of one device, or of one user", ErrNoTopic)
	case commands:
		return destination, func(cut uint64) content { return f.newCommandTopic(commandKey{device: id}, cut) }, nil
	case id == "*":
		return destination, f.newFleet, nil
	default:
		return destination, func(cut uint64) content { return f.newDetail(id, cut) }, nil
	}
}

// leave counts one less who watches t.
func (f *Feed) leave(t *topic) {
	f.watching.Lock()
	defer f.watching.Unlock()
	if t.refs--; t.refs == 0 {
		t.idle = f.cut.Load()
	}
}

// dropIdle gives up topics that nobody has watched for a while. It is called once a second.
func (f *Feed) dropIdle(cut uint64) {
	var dropped []*topic
	f.watching.Lock()
	idle := 0
	for key, t := range f.topics {
		if t.refs > 0 {
			continue
		}
		if idle++; idle > maxIdle || cut-t.idle > idleSeconds*f.second {
			delete(f.topics, key)
			dropped = append(dropped, t)
		}
	}
	f.watching.Unlock()
	for _, t := range dropped {
		t.content.close()
	}
}

// present are the topics there are.
func (f *Feed) present() []*topic {
	f.watching.Lock()
	defer f.watching.Unlock()
	list := make([]*topic, 0, len(f.topics))
	for _, t := range f.topics {
		list = append(list, t)
	}
	return list
}
