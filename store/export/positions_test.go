package export

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPositions compares a set of positions with a plain table of them.
func TestPositions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const size = 40
		set := positions{{1, endless}}
		var table [size]bool
		for i := 1; i < size; i++ {
			table[i] = true
		}
		for range rapid.IntRange(0, 12).Draw(t, "removals") {
			first := rapid.Uint64Range(0, size-1).Draw(t, "first")
			next := rapid.Uint64Range(first, size-1).Draw(t, "next")
			set = set.remove(span{first, next})
			for i := first; i < next; i++ {
				table[i] = false
			}
		}
		compare(t, set, table[:])

		limit := rapid.IntRange(1, 4).Draw(t, "limit")
		bounded := set.bounded(limit)
		if len(bounded) > limit {
			t.Fatalf("%v has more than %d spans", bounded, limit)
		}
		for i, in := range table {
			if _, ok := bounded.within(span{uint64(i), uint64(i) + 1}); in && !ok {
				t.Fatalf("%v lacks %d of %v", bounded, i, set)
			}
		}
		compare(t, set, table[:]) // untouched
	})
}

func compare(t *rapid.T, set positions, table []bool) {
	for i, in := range table {
		if _, ok := set.within(span{uint64(i), uint64(i) + 1}); ok != in {
			t.Fatalf("%v: position %d is in: %v, want %v", set, i, ok, in)
		}
	}
	n, first := uint64(0), uint64(len(table))
	for i, in := range slices.Backward(table) {
		if in {
			n++
			first = uint64(i)
		}
	}
	if got := set.count(uint64(len(table))); got != n {
		t.Fatalf("%v: %d positions, want %d", set, got, n)
	}
	if got := min(set.first(), uint64(len(table))); got != first {
		t.Fatalf("%v: first %d, want %d", set, got, first)
	}
	for i := 1; i < len(set); i++ {
		if set[i-1].next >= set[i].first {
			t.Fatalf("%v does not ascend", set)
		}
	}
}
