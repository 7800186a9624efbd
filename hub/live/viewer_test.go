package live

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// watcher is a viewer that keeps what it took last.
type watcher struct {
	*Viewer
	t testing.TB
}

func (r *rig) watcher() *watcher {
	v := r.Viewer()
	r.t.Cleanup(v.Close)
	return &watcher{v, r.t}
}

func (w *watcher) subscribe(destination string, params ...string) {
	w.t.Helper()
	w.resume(nil, destination, params...)
}

func (w *watcher) resume(at *Position, destination string, params ...string) {
	w.t.Helper()
	p := map[string]string{}
	for i := 0; i < len(params); i += 2 {
		p[params[i]] = params[i+1]
	}
	if err := w.Subscribe(destination, destination, p, at); err != nil {
		w.t.Fatal(err)
	}
}

// signalled reports whether C was signalled since the last time.
func (w *watcher) signalled() bool {
	select {
	case <-w.C():
		return true
	default:
		return false
	}
}

// one takes exactly one message.
func (w *watcher) one() Update {
	w.t.Helper()
	if !w.signalled() {
		w.t.Fatal("not signalled")
	}
	list := w.Take(nil)
	if len(list) != 1 {
		w.t.Fatalf("%d messages", len(list))
	}
	return list[0]
}

// none makes sure that nothing is due.
func (w *watcher) none() {
	w.t.Helper()
	if w.signalled() {
		w.t.Error("signalled for nothing")
	}
	if list := w.Take(nil); len(list) != 0 {
		w.t.Fatalf("%d messages, %s", len(list), list[0].Body)
	}
}

func windowOf(t testing.TB, u Update) Window {
	t.Helper()
	return decode[Window](t, u.Body)
}

func rowIDs(w Window) (ids []string) {
	for _, r := range w.Rows {
		ids = append(ids, r.ID)
	}
	return ids
}

func TestWindowIsToldOnceAndThenWhatChanges(t *testing.T) {
	r := newRig(t, "a", "b", "c")
	b, c := r.connect("b", 1), r.device("c")
	r.ticks(4)
	r.Greeted("b", 1, 0)
	w := r.watcher()
	w.subscribe("/topic/devices", "count", "2")
	u := w.one()
	got := windowOf(t, u)
	if !u.Snapshot || u.ID != "/topic/devices" || u.Epoch != r.Epoch() || got.Kind != "snapshot" || got.Total != 3 || got.Matched != 3 ||
		!slices.Equal(got.Order, []string{"a", "b"}) || !slices.Equal(rowIDs(got), got.Order) || got.Now != r.clock.millis(0) {
		t.Errorf("%+v %+v", u, got)
	}
	w.none() // within the tick
	r.ticks(1)
	w.one() // b greeted in the tick that was under way
	r.ticks(1)
	w.none()
	b.send(2134)
	w.none()
	r.ticks(1)
	u = w.one()
	got = windowOf(t, u)
	if u.Snapshot || u.Dropped != 0 || got.Kind != "update" || got.Order != nil || !slices.Equal(rowIDs(got), []string{"b"}) ||
		got.Rows[0].State != StateLive || len(got.Rows[0].Values) != 1 || got.Rows[0].Values[0].Text != "21.34" {
		t.Errorf("%+v %+v", u, got)
	}
	c.send(1) // outside of the window
	r.ticks(3)
	w.none()
	r.ticks(1)
	if got = windowOf(t, w.one()); len(got.Rows) != 0 || got.Order != nil { // the sign of life
		t.Errorf("%+v", got)
	}
	r.pass(3 * time.Second) // b is late, by nothing but the time
	if got = windowOf(t, w.one()); !slices.Equal(rowIDs(got), []string{"b"}) || got.Rows[0].State != StateLate && got.Rows[0].State != StateStale {
		t.Errorf("%+v", got)
	}
}

func TestWindowFollowsTheRegistry(t *testing.T) {
	r := newRig(t, "b", "d")
	w := r.watcher()
	w.subscribe("/topic/devices", "count", "2")
	w.one()
	r.add("a")
	r.ticks(4)
	if got := windowOf(t, w.one()); !slices.Equal(got.Order, []string{"a", "b"}) || !slices.Equal(rowIDs(got), []string{"a"}) || got.Total != 3 {
		t.Errorf("%+v", got)
	}
	if err := r.store.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	r.ticks(4)
	// d was there before, but the viewer has it no more.
	if got := windowOf(t, w.one()); !slices.Equal(got.Order, []string{"b", "d"}) || !slices.Equal(rowIDs(got), []string{"d"}) || got.Total != 2 {
		t.Errorf("%+v", got)
	}
	for _, id := range []string{"b", "d"} {
		if err := r.store.RemoveDevice(id); err != nil {
			t.Fatal(err)
		}
	}
	r.ticks(4)
	if got := windowOf(t, w.one()); got.Order == nil || len(got.Order) != 0 || got.Total != 0 {
		t.Errorf("%+v", got)
	}
}

// A viewer that goes on where it was gets what it has not seen, and is told that nothing is missing.
func TestResume(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	const readings = "/topic/devices/a/readings"
	for _, destination := range []string{"/topic/hub", "/topic/devices", readings} {
		w := r.watcher()
		w.subscribe(destination)
		u := w.one()
		at := &Position{Epoch: u.Epoch, Offset: u.Offset}
		if u.Resumed || u.Missed != 0 {
			t.Errorf("%s: %+v", destination, u)
		}
		w.Close()
		d.send(7)
		r.pass(20 * time.Second)

		w = r.watcher()
		w.resume(at, destination)
		if u = w.one(); !u.Resumed || u.Missed != 0 || u.Snapshot && destination != "/topic/hub" || u.Offset <= at.Offset {
			t.Errorf("%s: %+v", destination, u)
		}
		if destination == readings {
			if got := decode[DeviceUpdate](t, u.Body); len(got.Points["1"]) != 1 || got.Points["1"][0].number() != 0.07 {
				t.Errorf("%s", u.Body)
			}
		}
		w.none()
		for what, at := range map[string]*Position{
			"another run": {Epoch: "0", Offset: u.Offset}, "the future": {Epoch: u.Epoch, Offset: u.Offset + 1000},
		} {
			w = r.watcher()
			w.resume(at, destination)
			if u := w.one(); u.Resumed || u.Missed != -1 || !u.Snapshot {
				t.Errorf("%s, %s: %+v", destination, what, u)
			}
			w.none()
		}
	}
	// What is not kept any more is not pretended.
	w := r.watcher()
	w.subscribe(readings)
	u := w.one()
	w.Close()
	d.send(8)
	r.pass((keepSeconds + 2) * time.Second)
	d.send(9)
	w = r.watcher()
	w.resume(&Position{u.Epoch, u.Offset}, readings)
	if u := w.one(); u.Resumed || u.Missed != -1 || !u.Snapshot {
		t.Errorf("%+v", u)
	}
}

// A viewer that never takes costs nothing but itself, and holds nobody up. When it takes at last, it gets one message with
// the newest state.
func TestViewerThatNeverTakes(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	lazy, eager := r.watcher(), r.watcher()
	for _, destination := range []string{"/topic/hub", "/topic/devices", "/topic/devices/a/readings", "/topic/devices/*/readings"} {
		lazy.subscribe(destination)
		eager.subscribe(destination)
	}
	lazy.Take(nil)
	eager.Take(nil)
	kept := func() (n int) {
		for _, tp := range r.present() {
			n += len(tp.bodies) + len(tp.whole)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		return n + cap(r.entries["a"].ring.points) + cap(r.entries["a"].ring.spans)
	}
	r.ticks(1)
	eager.Take(nil)
	for range 200 {
		d.send(1)
		r.ticks(1)
		if n := len(eager.Take(nil)); n != 4 && n != 3 {
			t.Fatalf("%d messages", n)
		}
	}
	before := kept()
	for i := range 2000 {
		if i%10 == 0 {
			d.send(i)
		}
		r.ticks(1)
	}
	if after := kept(); after > before {
		t.Errorf("%d kept, then %d", before, after)
	}
	got := lazy.Take(nil)
	if len(got) != 4 {
		t.Fatalf("%d messages", len(got))
	}
	for _, u := range got {
		if u.Dropped < 100 {
			t.Errorf("%s: %d dropped", u.Destination, u.Dropped)
		}
		if u.Destination == "/topic/devices" {
			if w := windowOf(t, u); w.Rows[0].Values[0].Text != "19.9" {
				t.Errorf("%s", u.Body)
			}
		}
	}
	if lazy.Take(nil) != nil {
		t.Error("more to take")
	}
}

// Viewers who ask for the same get the same bytes.
func TestBodiesAreShared(t *testing.T) {
	r := newRig(t, "a", "b")
	d := r.connect("a", 1)
	one, two := r.watcher(), r.watcher()
	one.subscribe("/topic/devices", "count", "10", "sort", "")
	two.subscribe("/topic/devices", "sort", "", "count", "10", "unknown", "x")
	for range 3 {
		a, b := one.one(), two.one()
		if &a.Body[0] != &b.Body[0] {
			t.Errorf("%s is not %s", a.Body, b.Body)
		}
		d.send(1)
		r.ticks(1)
	}
	if n := len(r.present()); n != 1 {
		t.Errorf("%d topics", n)
	}
}

func TestSubscriptions(t *testing.T) {
	r := newRig(t, "a")
	w := r.watcher()
	for _, c := range []struct {
		destination string
		params      map[string]string
		want        error
	}{
		{"/topic/hub", nil, nil},
		{"/topic/hub/", nil, ErrNoTopic},
		{"/topic/nothing", nil, ErrNoTopic},
		{"", nil, ErrNoTopic},
		{"/topic/devices/a", nil, ErrNoTopic},
		{"/topic/devices//readings", nil, ErrNoTopic},
		{"/topic/devices/readings", nil, ErrNoTopic},
		{"/topic/devices/a/b/readings", nil, ErrNoTopic},
		{"/topic/devices/a/readings", nil, nil},
		{"/topic/devices/nobody/readings", nil, nil}, // it may be registered later
		{"/topic/devices/*/readings", nil, nil},
		{"/topic/devices", map[string]string{"count": "200", "state": "attention", "sort": "-seen"}, nil},
		{"/topic/devices", map[string]string{"count": "201"}, ErrBadList},
		{"/topic/devices", map[string]string{"first": "-1"}, ErrBadList},
		{"/topic/devices", map[string]string{"state": "Live"}, ErrBadList},
		{"/topic/devices", map[string]string{"sort": "-"}, ErrBadList},
		{"/topic/devices", map[string]string{"sort": "--id"}, ErrBadList},
	} {
		err := w.Subscribe(fmt.Sprint(c), c.destination, c.params, nil)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s %v: %v, expected %v", c.destination, c.params, err, c.want)
		}
	}
	if err := w.Subscribe("x", "/topic/hub", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Subscribe("x", "/topic/devices", nil, nil); err != ErrDuplicate {
		t.Error(err)
	}
	before := len(w.Take(nil))
	if err := w.Unsubscribe("x"); err != nil {
		t.Error(err)
	}
	if err := w.Unsubscribe("x"); err != ErrNoSubscription {
		t.Error(err)
	}
	r.ticks(4)
	if n := len(w.Take(nil)); n != before-1 {
		t.Errorf("%d messages, then %d", before, n)
	}
	w.Close()
	w.Close()
	if err := w.Subscribe("y", "/topic/hub", nil, nil); err != ErrClosed {
		t.Error(err)
	}
	if n := len(w.Take(nil)); n != 0 {
		t.Errorf("%d messages after the end", n)
	}
	if r.Hub().Viewers != 0 {
		t.Error("a viewer is left")
	}
	r.pass((idleSeconds + 1) * time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.topics); n != 0 || r.watchAll != 0 || r.points != 0 || r.entries["a"].ring != nil {
		t.Errorf("%d topics are left", n)
	}
}

// Each list costs work every second, whoever looks at it: one viewer must not make much of it.
func TestListsOfAViewerAreBounded(t *testing.T) {
	r := newRig(t)
	w := r.watcher()
	for i := range maxLists {
		if err := w.Subscribe(fmt.Sprint(i), "/topic/devices", map[string]string{"first": fmt.Sprint(i)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Subscribe("more", "/topic/devices", nil, nil); err != ErrTooManyLists {
		t.Error(err)
	}
	if err := w.Subscribe("hub", "/topic/hub", nil, nil); err != nil {
		t.Error(err)
	}
	if err := w.Unsubscribe("0"); err != nil {
		t.Error(err)
	}
	if err := w.Subscribe("more", "/topic/devices", nil, nil); err != nil {
		t.Error(err)
	}
}

// Messages about all devices are large: one viewer must not have many under way.
func TestWildcardsOfAViewerAreBounded(t *testing.T) {
	r := newRig(t)
	w := r.watcher()
	for i := range maxFleets {
		if err := w.Subscribe(fmt.Sprint(i), "/topic/devices/*/readings", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Subscribe("more", "/topic/devices/*/readings", nil, nil); err != ErrTooManyFleets {
		t.Error(err)
	}
	if err := w.Subscribe("one", "/topic/devices/a/readings", nil, nil); err != nil {
		t.Error(err)
	}
}

// bulk is a topic with long messages, which always has something new. It counts them.
type bulk struct{ made *int }

func (b bulk) advance(uint64, bool) bool        { return true }
func (b bulk) covers(uint64) bool               { return true }
func (b bulk) close()                           {}
func (b bulk) body(uint64, uint64, bool) []byte { *b.made++; return make([]byte, 300<<10) }

// A viewer that does not read holds what it was handed: that is not much, and it gets the rest when it comes back, all in turn.
func TestTakeHandsOutAMegabyte(t *testing.T) {
	r := newRig(t)
	w := r.watcher()
	made := 0
	const subs = 10
	for i := range subs {
		id := fmt.Sprint(i)
		if err := w.Subscribe(id, "/topic/devices/"+id+"/readings", nil, nil); err != nil {
			t.Fatal(err)
		}
		w.subs[i].topic.content = bulk{&made}
	}
	got := map[string]int{}
	for tick := range 30 {
		before := made
		list := w.Take(nil)
		size := 0
		for _, u := range list {
			got[u.ID]++
			size += len(u.Body)
		}
		if size > taking+300<<10 || made-before != len(list) || len(list) == 0 {
			t.Fatalf("%d bytes in %d messages, %d made", size, len(list), made-before)
		}
		if tick == 0 {
			select {
			case <-w.C():
			default:
				t.Error("not told that there is more")
			}
		}
		r.ticks(1)
	}
	for i := range subs {
		if n := got[fmt.Sprint(i)]; n != 12 {
			t.Errorf("subscription %d had %d of %v", i, n, got)
		}
	}
	// For a viewer that is gone nothing is made.
	w.mu.Lock()
	for _, s := range w.subs {
		s.gone = true
	}
	w.mu.Unlock()
	if before := made; len(w.Take(nil)) != 0 || made != before {
		t.Error("messages were made for a viewer that is gone")
	}
}
