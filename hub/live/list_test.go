package live

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestFiltersAndOrders(t *testing.T) {
	r := newRig(t, "d1", "d2", "d3", "d4")
	r.connect("d1", 1).send(1)
	r.pass(time.Second)
	r.connect("d3", 2).send(1)
	r.Disconnected("d3", 2, 0, "", false)
	r.pass(time.Second)
	r.connect("d2", 3).send(1)
	r.ticks(4)
	for _, c := range []struct {
		params  map[string]string
		want    []string
		matched int
	}{
		{nil, []string{"d1", "d2", "d3", "d4"}, 4},
		{map[string]string{"sort": "-id", "count": "2"}, []string{"d4", "d3"}, 4},
		{map[string]string{"first": "3", "count": "2"}, []string{"d4"}, 4},
		{map[string]string{"first": "9"}, []string{}, 4},
		{map[string]string{"state": "live"}, []string{"d2"}, 1},
		{map[string]string{"state": "attention"}, []string{"d3"}, 1},
		{map[string]string{"sort": "state"}, []string{"d3", "d1", "d4", "d2"}, 4},
		{map[string]string{"sort": "-seen"}, []string{"d2", "d3", "d1", "d4"}, 4},
		{map[string]string{"sort": "-kind"}, []string{"d1", "d2", "d3", "d4"}, 4},
		{map[string]string{"q": "D3"}, []string{"d3"}, 1},
		{map[string]string{"q": "site=HERE", "first": "2"}, []string{"d3", "d4"}, 4},
		{map[string]string{"label": "site"}, []string{"d1", "d2", "d3", "d4"}, 4},
		{map[string]string{"label": "site=there"}, []string{}, 0},
	} {
		l, err := ParseList(c.params)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Devices(l); !slices.Equal(got.Order, c.want) || got.Matched != c.matched || !slices.Equal(rowIDs(got), append([]string(nil), c.want...)) {
			t.Errorf("%v: %v of %d, expected %v of %d", c.params, got.Order, got.Matched, c.want, c.matched)
		}
		w := r.watcher()
		var params []string
		for k, v := range c.params {
			params = append(params, k, v)
		}
		w.subscribe("/topic/devices", params...)
		if got := windowOf(t, w.one()); !slices.Equal(got.Order, c.want) || got.Order == nil {
			t.Errorf("%v: %v, expected %v", c.params, got.Order, c.want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("/topic/devices", "a", "live", "-seen", "site=x", "7", "50")
	f.Add("/topic/devices/*/readings", "", "", "", "", "", "")
	f.Add("/topic/devices/x/readings", "", "", "--", "=", "-1", "0x9")
	feed := &Feed{}
	f.Fuzz(func(t *testing.T, destination, q, state, sort, label, first, count string) {
		params := map[string]string{"q": q, "state": state, "sort": sort, "label": label, "first": first, "count": count}
		key, open, err := feed.find("", destination, params)
		if (err == nil) != (open != nil) || err == nil && key == "" || err != nil && !errors.Is(err, ErrNoTopic) && !errors.Is(err, ErrBadList) {
			t.Errorf("%q, %v", key, err)
		}
		l, err := ParseList(params)
		if err != nil {
			return
		}
		if l.First < 0 || l.Count < 0 || l.Count > maxWindow || len(l.Query) > maxListText || len(l.Label) > maxListText {
			t.Errorf("%+v", l)
		}
		a, b := newEntry("a"), newEntry("b")
		list := []found{}
		for _, e := range []*entry{a, b} {
			if l.matches(e) {
				rank, text := l.rank(e)
				list = append(list, found{e, rank, text})
			}
		}
		l.sort(list)
		if len(cut(&l, list)) > 2 {
			t.Error("more than there are")
		}
	})
}
