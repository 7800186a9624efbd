package commands

import (
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestListsAndPages(t *testing.T) {
	r := newRig(t, "a", "b")
	for i := range 30 {
		r.send(New{Device: []string{"a", "b"}[i%2], Name: "blink"})
		r.pass(time.Minute)
	}
	numbers := func(f Filter) (n []uint64) {
		t.Helper()
		list, err := r.List(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range list {
			n = append(n, c.Number)
		}
		return n
	}
	for _, c := range []struct {
		f    Filter
		want []uint64
	}{
		{Filter{Limit: 3}, []uint64{30, 29, 28}},
		{Filter{Limit: 3, Before: 28}, []uint64{27, 26, 25}},
		{Filter{Device: "b", Limit: 2}, []uint64{30, 28}},
		{Filter{Device: "b", Limit: 2, Before: 28}, []uint64{26, 24}},
		{Filter{Device: "b", Before: 1}, nil},
		{Filter{Since: r.now().Add(-2 * time.Minute)}, []uint64{30, 29}},
		{Filter{States: []State{Expired}}, nil},
		{Filter{Device: "nobody"}, nil},
	} {
		if got := numbers(c.f); !slices.Equal(got, c.want) {
			t.Errorf("%+v: %v, want %v", c.f, got, c.want)
		}
	}
	r.exchange(r.Delivery("a", 1)) // all of them were too late but one
	if got := numbers(Filter{States: []State{Expired}}); len(got) != 15 {
		t.Errorf("%d expired", len(got))
	}
}

// TestCountOfSettledCommandsIsBounded: the settled ones go by their number, not by their age; open ones stay.
func TestCountOfSettledCommandsIsBounded(t *testing.T) {
	r := newRig(t, "a")
	open := r.send(New{Device: "a", Name: "blink", TTL: maxTTL})
	for range (maxKept + 3*pruneStep) / 500 {
		err := r.Do(func(ch *Change) error {
			for range 500 {
				c, err := ch.accept(&Command{ID: device.NewCommandID(), Device: "a", Name: "blink", Created: ch.now, Deadline: ch.now}, false)
				if err != nil {
					return err
				}
				ch.apply(c, eventCancel, byHub, nil)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.want(open.ID, Queued, "")
	if n := r.kept.count - 1; n < maxKept || n > maxKept+pruneStep {
		t.Errorf("%d are kept", n)
	}
	if n := len(r.index.numbers); n != r.kept.count || n != len(r.index.lists["a"]) {
		t.Errorf("%d are in the index, %d in the list, %d kept", n, len(r.index.lists["a"]), r.kept.count)
	}
}
