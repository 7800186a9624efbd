package live

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	keepSeconds    = 30      // of points, so that a viewer who was away for less misses none
	maxPoints      = 4096    // of one device
	maxPointsInAll = 1 << 18 // of all devices: 6 MiB
	maxThinned     = 64      // points of one channel in a message
)

// ring is what came of one device in the last ticks, kept while somebody watches it. The methods do nothing for nil.
type ring struct {
	points  []point // by tick; those before start are gone
	start   int
	spans   []lateSpan // by tick
	lost    uint64     // of this tick, and those before, not all points are there
	counted int        // in Feed.points
}

type point struct {
	time    int64 // ms since 1970
	bits    uint64
	tick    uint32 // enough for 34 years
	channel uint16
	kind    device.ValueType
	scale   int8
}

// lateSpan is a stretch of time for which older readings came in a tick.
type lateSpan struct {
	tick     uint64
	from, to int64 // µs
}

// add keeps sample j of a column, if it is one that can be drawn.
func (r *ring) add(tick uint64, t int64, ch *device.Channel, col *device.Column, j int) {
	if r == nil || col.Type == device.String {
		return
	}
	r.points = append(r.points, point{time: t / 1000, bits: col.Bits[j], tick: uint32(tick), channel: ch.ID, kind: col.Type, scale: ch.Scale})
}

// late notes that an older reading of the moment t came.
func (r *ring) late(tick uint64, t int64) {
	if r == nil {
		return
	}
	if n := len(r.spans); n > 0 && r.spans[n-1].tick == tick {
		last := &r.spans[n-1]
		last.from, last.to = min(last.from, t), max(last.to, t)
		return
	}
	r.spans = append(r.spans, lateSpan{tick: tick, from: t, to: t})
}

// trim drops what is too old or too much and returns by how much the number of points has changed since the last time; all
// is what all rings together held then.
func (r *ring) trim(tick, second uint64, all int) (more int) {
	if r == nil {
		return 0
	}
	oldest := tick - min(tick, keepSeconds*second)
	from := max(r.start, len(r.points)-maxPoints)
	for from < len(r.points) && uint64(r.points[from].tick) < oldest {
		from++
	}
	if all+len(r.points)-from-r.counted > maxPointsInAll {
		from = len(r.points)
	}
	if from > r.start {
		r.lost = uint64(r.points[from-1].tick)
	}
	if r.start = from; from > len(r.points)/2 {
		r.points = append(r.points[:0], r.points[from:]...)
		r.start = 0
	}
	old := 0
	for old < len(r.spans) && r.spans[old].tick < oldest {
		r.lost = max(r.lost, r.spans[old].tick)
		old++
	}
	r.spans = slices.Delete(r.spans, 0, old)
	more = len(r.points) - r.start - r.counted
	r.counted += more
	return more
}

// between returns the points of the ticks after since up to cut by channel, and the stretch of the late ones.
func (r *ring) between(since, cut uint64) (points map[string]Points, backlog *Span) {
	if r == nil {
		return nil, nil
	}
	held := r.points[r.start:]
	first, _ := slices.BinarySearchFunc(held, since+1, func(p point, tick uint64) int { return cmp.Compare(uint64(p.tick), tick) })
	for _, p := range held[first:] {
		if uint64(p.tick) > cut {
			break
		}
		if points == nil {
			points = map[string]Points{}
		}
		id := strconv.Itoa(int(p.channel))
		points[id] = append(points[id], Point{Millis(p.time), device.Value{Type: p.kind, Scale: p.scale, Bits: p.bits}})
	}
	for id, list := range points {
		slices.SortStableFunc(list, func(a, b Point) int { return cmp.Compare(a.Time, b.Time) })
		points[id] = list.thin(maxThinned)
	}
	for _, s := range r.spans {
		if s.tick <= since || s.tick > cut {
			continue
		}
		from, to := Millis(s.from/1000), Millis(s.to/1000+1)
		if backlog == nil {
			backlog = &Span{from, to}
		}
		backlog[0], backlog[1] = min(backlog[0], from), max(backlog[1], to)
	}
	return points, backlog
}

// thin leaves at most so many points: of each stretch the lowest and the highest.
func (p Points) thin(most int) Points {
	if len(p) <= most {
		return p
	}
	thinned := make(Points, 0, most)
	for i := range most / 2 {
		part := p[i*len(p)/(most/2) : (i+1)*len(p)/(most/2)]
		low, high := 0, 0
		lowest, highest := math.Inf(1), math.Inf(-1)
		for j := range part {
			v, _ := part[j].Value.Float() // NaN is neither
			if v < lowest {
				low, lowest = j, v
			}
			if v > highest {
				high, highest = j, v
			}
		}
		thinned = append(thinned, part[min(low, high)])
		if low != high {
			thinned = append(thinned, part[max(low, high)])
		}
	}
	return thinned
}

// MarshalJSON writes [[ms,value],…].
func (p Points) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 24*len(p)+2)
	b = append(b, '[')
	for i := range p {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), int64(p[i].Time), 10)
		b = append(b, ',')
		if v := p[i].Value; v.Type == device.Bool {
			b = strconv.AppendUint(b, v.Bits, 10)
		} else {
			b = v.AppendJSON(b)
		}
		b = append(b, ']')
	}
	return append(b, ']'), nil
}

// watch makes n more topics watch e in detail.
func (f *Feed) watch(e *entry, n int) {
	e.watchers += n
	if e.watchers > 0 && e.ring == nil {
		e.ring = &ring{lost: f.cut.Load()}
	}
}

// unwatch takes n topics away.
func (f *Feed) unwatch(e *entry, n int) {
	e.watchers -= n
	if e.watchers == 0 && e.ring != nil {
		f.points -= e.ring.counted
		e.ring = nil
	}
}
