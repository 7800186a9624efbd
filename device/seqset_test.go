package device

import (
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

func TestSeqSetMerges(t *testing.T) {
	var s SeqSet
	steps := []struct {
		first, last uint64
		added       uint64
		want        Ranges
	}{
		{5, 5, 1, Ranges{{5, 5}}},
		{7, 7, 1, Ranges{{5, 5}, {7, 7}}},
		{6, 6, 1, Ranges{{5, 7}}},
		{6, 7, 0, Ranges{{5, 7}}},
		{0, 1, 1, Ranges{{1, 1}, {5, 7}}},
		{20, 30, 11, Ranges{{1, 1}, {5, 7}, {20, 30}}},
		{10, 11, 2, Ranges{{1, 1}, {5, 7}, {10, 11}, {20, 30}}},
		{3, 3, 1, Ranges{{1, 1}, {3, 3}, {5, 7}, {10, 11}, {20, 30}}},
		{2, 9, 4, Ranges{{1, 11}, {20, 30}}},
		{15, 19, 5, Ranges{{1, 11}, {15, 30}}},
		{9, 5, 0, Ranges{{1, 11}, {15, 30}}},
		{31, 31, 1, Ranges{{1, 11}, {15, 31}}},
		{12, 40, 12, Ranges{{1, 40}}},
		{math.MaxUint64, math.MaxUint64, 1, Ranges{{1, 40}, {math.MaxUint64, math.MaxUint64}}},
		{math.MaxUint64 - 1, math.MaxUint64, 1, Ranges{{1, 40}, {math.MaxUint64 - 1, math.MaxUint64}}},
		{0, 0, 0, Ranges{{1, 40}, {math.MaxUint64 - 1, math.MaxUint64}}},
		{0, math.MaxUint64, math.MaxUint64 - 42, Ranges{{1, math.MaxUint64}}},
	}
	for _, step := range steps {
		if added := s.AddRange(step.first, step.last); added != step.added {
			t.Errorf("adding %d–%d: %d new, want %d", step.first, step.last, added, step.added)
		}
		if diff := cmp.Diff(step.want, s.Ranges()); diff != "" {
			t.Fatalf("after %d–%d: %s", step.first, step.last, diff)
		}
		if s.Count() != step.want.Count() || s.Len() != len(step.want) || s.Max() != step.want[len(step.want)-1].Last {
			t.Fatalf("after %d–%d: %d members in %d intervals up to %d", step.first, step.last, s.Count(), s.Len(), s.Max())
		}
	}
}

// TestSeqSetListsWithinLimit keeps the lowest intervals and always the highest.
func TestSeqSetListsWithinLimit(t *testing.T) {
	var s SeqSet
	if got := s.AppendRanges(nil, 3); len(got) != 0 {
		t.Errorf("the empty set lists %v", got)
	}
	for _, seq := range []uint64{1, 3, 5, 7} {
		s.Add(seq)
	}
	for limit, want := range []Ranges{
		{},
		{{7, 7}},
		{{1, 1}, {7, 7}},
		{{1, 1}, {3, 3}, {7, 7}},
		{{1, 1}, {3, 3}, {5, 5}, {7, 7}},
		{{1, 1}, {3, 3}, {5, 5}, {7, 7}},
	} {
		got := s.AppendRanges(Ranges{{90, 91}}, limit)
		if !slices.Equal(got, append(Ranges{{90, 91}}, want...)) {
			t.Errorf("limit %d: %v, want %v behind what was there", limit, got, want)
		}
	}
}

func TestSeqSetMissing(t *testing.T) {
	var empty, s SeqSet
	s.AddRange(3, 4)
	s.AddRange(8, 8)
	s.AddRange(10, 12)
	for _, test := range []struct {
		set         *SeqSet
		first, last uint64
		limit       int
		want        Ranges
	}{
		{&empty, 0, 5, 9, Ranges{{1, 5}}},
		{&empty, 5, 4, 9, nil},
		{&s, 0, 12, 9, Ranges{{1, 2}, {5, 7}, {9, 9}}},
		{&s, 1, 20, 9, Ranges{{1, 2}, {5, 7}, {9, 9}, {13, 20}}},
		{&s, 1, 20, 3, Ranges{{1, 2}, {5, 7}, {9, 9}}},
		{&s, 1, 20, 0, nil},
		{&s, 4, 6, 9, Ranges{{5, 6}}},
		{&s, 6, 6, 9, Ranges{{6, 6}}},
		{&s, 11, 12, 9, nil},
		{&s, 12, 13, 9, Ranges{{13, 13}}},
		{&s, 14, math.MaxUint64, 9, Ranges{{14, math.MaxUint64}}},
	} {
		if got := test.set.Missing(test.first, test.last, nil, test.limit); !slices.Equal(got, test.want) {
			t.Errorf("missing in %d–%d, limit %d: %v, want %v", test.first, test.last, test.limit, got, test.want)
		}
	}
}

// TestSeqSetTailIsCheap: thousands of these live in a hub, nearly all of them without holes.
func TestSeqSetTailIsCheap(t *testing.T) {
	var s SeqSet
	allocs := testing.AllocsPerRun(1000, func() {
		if !s.Add(s.Max() + 1) {
			t.Fatal("max+1 was there")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations for each number in order", allocs)
	}
	if size := unsafe.Sizeof(s); size > 48 {
		t.Errorf("an empty set takes %d bytes", size)
	}
}

// TestSeqSetGivesMemoryBack: a filled gap leaves nothing behind.
func TestSeqSetGivesMemoryBack(t *testing.T) {
	var s SeqSet
	for seq := uint64(2); seq <= 2*MaxSparseRanges; seq += 2 {
		s.Add(seq)
	}
	s.AddRange(1, 2*MaxSparseRanges)
	if s.Len() != 1 || s.lower != nil {
		t.Errorf("%d intervals, memory for %d", s.Len(), cap(s.lower))
	}
}

func TestSeqSetReset(t *testing.T) {
	var s SeqSet
	s.AddRange(1, 3)
	s.AddRange(7, 9)
	s.Reset()
	if s.Len() != 0 || s.Count() != 0 || s.Max() != 0 || s.Contains(2) || s.Contains(8) {
		t.Errorf("%v is left", s.Ranges())
	}
	if s.AddRange(2, 8) != 7 || s.Len() != 1 {
		t.Errorf("%v after adding 2–8", s.Ranges())
	}
}

// FuzzSeqSet runs the input as a program on a set and on a map, over numbers so few that they meet often.
func FuzzSeqSet(f *testing.F) {
	f.Add([]byte{0, 5, 5, 0, 7, 7, 0, 6, 6})
	f.Add([]byte{1, 10, 20, 1, 30, 40, 1, 15, 35, 0, 1, 1})
	f.Fuzz(func(t *testing.T, program []byte) {
		var s SeqSet
		model := map[uint64]bool{}
		program = program[:min(len(program), 3*100)]
		for ; len(program) >= 3; program = program[3:] {
			first, last := uint64(program[1]), uint64(program[2])
			limit := int(program[0] >> 1)
			if program[0]&1 == 0 {
				last = first
			}
			before, fits := s.Len(), s.Fits(first, limit)
			added := uint64(0)
			for seq := first; seq <= last; seq++ {
				if seq != 0 && !model[seq] {
					model[seq] = true
					added++
				}
			}
			if first == last {
				if s.Add(first) != (added == 1) {
					t.Fatalf("Add(%d) disagrees", first)
				}
				if want := s.Len() <= limit || s.Len() <= before; fits != want {
					t.Fatalf("Fits(%d, %d) is %v; intervals %d → %d", first, limit, fits, before, s.Len())
				}
			} else if got := s.AddRange(first, last); got != added {
				t.Fatalf("AddRange(%d, %d) is %d, want %d", first, last, got, added)
			}
			checkAgainstModel(t, &s, model, first, limit)
		}
	})
}

func checkAgainstModel(t *testing.T, s *SeqSet, model map[uint64]bool, from uint64, limit int) {
	t.Helper()
	var members, holes Ranges
	for seq := uint64(0); seq < 260; seq++ {
		if s.Contains(seq) != model[seq] {
			t.Fatalf("Contains(%d) is %v", seq, s.Contains(seq))
		}
		if model[seq] {
			members = extend(members, seq)
		} else if seq >= max(from, 1) {
			holes = extend(holes, seq)
		}
	}
	if got := s.Ranges(); !slices.Equal(got, members) || s.Len() != len(members) || s.Count() != uint64(len(model)) {
		t.Fatalf("%v with %d members, want %v with %d", got, s.Count(), members, len(model))
	}
	if got := s.Missing(from, 259, nil, limit); !slices.Equal(got, holes[:min(limit, len(holes))]) {
		t.Fatalf("Missing(%d, 259, %d) is %v, want the first of %v", from, limit, got, holes)
	}
}

// extend adds seq, which is above all others, to ranges.
func extend(r Ranges, seq uint64) Ranges {
	if n := len(r); n > 0 && r[n-1].Last+1 == seq {
		r[n-1].Last = seq
		return r
	}
	return append(r, Range{seq, seq})
}

// BenchmarkSeqSet measures numbers in order, and in an order that opens and fills gaps.
func BenchmarkSeqSet(b *testing.B) {
	b.Run("ordered", func(b *testing.B) {
		b.ReportAllocs()
		var s SeqSet
		for b.Loop() {
			s.Add(s.Max() + 1)
		}
	})
	b.Run("backlog-behind-live", func(b *testing.B) {
		b.ReportAllocs()
		var s SeqSet
		s.AddRange(1<<20, 1<<20)
		backlog := uint64(0)
		for b.Loop() {
			s.Add(s.Max() + 1)
			backlog++
			s.Add(backlog % (1 << 20))
		}
	})
	b.Run("sparse", func(b *testing.B) {
		b.ReportAllocs()
		var s SeqSet
		for seq := uint64(1); s.Len() < MaxSparseRanges; seq += 4 {
			s.Add(seq)
		}
		n := uint64(0)
		for b.Loop() {
			n += 0x9e3779b97f4a7c15 // visits all places in no order
			s.Contains(n % (4 * MaxSparseRanges))
		}
	})
}
