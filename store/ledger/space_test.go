package ledger

import (
	"math"
	"testing"
)

func TestSegmentsFitTheDisk(t *testing.T) {
	for _, c := range []struct {
		limit int64
		space Space
		want  int64
	}{
		{1 << 30, Space{}, 16 << 20},
		{1 << 30, Space{Total: 100 << 30}, 16 << 20},
		{64 << 20, Space{Total: 100 << 30}, 4 << 20},
		{1 << 30, Space{Total: 64 << 20}, 512 << 10},
		{4 << 20, Space{Total: 64 << 20}, 256 << 10},
		{math.MaxInt64, Space{Total: 1 << 40}, 16 << 20},
	} {
		if got := segmentBytesFor(c.limit, c.space); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Around the edge of the reserve the committer does not change its mind with each byte.
func TestReserve(t *testing.T) {
	d := Space{Total: 64 << 20}
	c := &committer{Ledger: &Ledger{opts: Options{Space: func(string) Space { return d }}, trimNow: make(chan struct{}, 1)}}
	for i, step := range []struct {
		free int64
		room bool
	}{
		{20 << 20, true}, {5 << 20, true}, {2<<20 + 1000, true}, {2<<20 + 999, false}, {3 << 20, false}, {4<<20 + 999, false},
		{4<<20 + 1000, true}, {3 << 20, true}, {0, false},
	} {
		d.Free = step.free
		if err := c.roomFor(1000); (err == nil) != step.room {
			t.Errorf("step %d, %d bytes free: %v", i, step.free, err)
		}
	}
	d = Space{}
	if err := c.roomFor(1000); err != nil {
		t.Errorf("of a file system that does not tell: %v", err)
	}
}
