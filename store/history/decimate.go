package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Limits of a DecimateQuery.
const (
	MaxBuckets = 10_000  // of one series
	MaxCells   = 200_000 // buckets × channels; each takes 48 bytes while the query runs
	MinStep    = time.Millisecond
)

// ErrTooFine is wrapped by the error of Decimate for a query above the limits.
var ErrTooFine = errors.New("more buckets than can be had at once")

// DecimateQuery selects readings of one device to be summed up.
type DecimateQuery struct {
	Device   string
	Channels []*device.Channel // one series each: of what has the same name, type and unit, whatever its id and scale
	From     time.Time         // first time wanted
	To       time.Time         // first time no longer wanted
	Step     time.Duration     // length of a bucket; buckets begin at its multiples since 1970
	Expected time.Duration     // between two samples, as the device says; 0: it does not
	Present  *device.Schema    // what the device has now, wanted or not, is nothing else it measured; nil: not known
}

// Decimated is a stretch of a device's history, summed up.
type Decimated struct {
	Series []Series // one for each channel of the query
	Others []Other  // what else the device measured in that time, by name, type and unit; at most maxOthers

	Damaged []Span        // the times of readings that can't be read; at most maxGaps
	Expired time.Time     // what was received before has been deleted at the history's limits; zero: nothing has
	Gaps    []Span        // without any reading of the series, by time; at most maxGaps
	MinGap  time.Duration // Gaps are longer than this: 3 times what is expected, or more if there were too many of them
	Spacing time.Duration // as observed between most samples, to about an eighth; 0: too few samples
}

// Series is the readings of one channel, a bucket with none left out. Its values have the type and scale of the channel, unless
// there are integers of several scales: then they are Float64.
type Series struct {
	Channel *device.Channel
	Type    device.ValueType
	Scale   int8
	Buckets []Bucket
}

// Value is a number in a bucket of the series.
func (s *Series) Value(bits uint64) device.Value {
	return device.Value{Type: s.Type, Scale: s.Scale, Bits: bits}
}

// Bucket sums up the readings of one channel in one step of time. Its numbers are bits, see Series.Value. A NaN counts neither for
// Min nor for Max, and both are NaN if there is nothing else. A String has only Text, cut to maxText bytes.
type Bucket struct {
	Time     time.Time // of Last
	Min, Max uint64
	Last     uint64 // of equal times the one received last
	Text     string
}

// Other is a channel that is in the history but not in a series.
type Other struct {
	Name     string
	Type     device.ValueType
	Unit     string
	Readings uint64
	First    time.Time
	Last     time.Time
}

// Span is a stretch of time.
type Span struct{ From, To time.Time }

const (
	maxText   = device.MaxText // bytes of a String in a Bucket; longer ones end with "…"
	maxOthers = 64
)

// Decimate sums up what q selects: for each channel and each step of time the lowest, the highest and the last value. It
// decodes blocks column by column and keeps only the sums in memory. What is added after the call began may be missing.
func (h *History) Decimate(ctx context.Context, q DecimateQuery) (*Decimated, error) {
	d, err := newDecimation(q)
	if err != nil {
		return nil, err
	}
	s := newScan(h, Query{Device: q.Device, From: q.From, To: q.To})
	if s == nil {
		return nil, errClosed
	}
	expired := h.Expired()
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		src, ok, err := s.peek()
		if err != nil {
			return nil, err
		}
		if !ok {
			out := d.result()
			out.Expired = expired
			if s.incomplete() != nil {
				out.Damaged = s.lost
			}
			return out, nil
		}
		s.take(src)
		if ok, err = s.load(src); err != nil {
			return nil, err
		}
		if ok {
			d.add(src)
			s.unload(src)
		}
	}
}

// Expired is up to when readings were received that the limits have made the history delete; zero if there are none, or if
// the blocks that are gone may have been those of removed devices only.
func (h *History) Expired() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	oldest := time.UnixMilli(h.edge.received).UTC()
	limit := h.limit.Load()
	full := h.used > limit-limit/10
	switch {
	case h.edge.number <= 1 || h.edge.number >= h.state.next || !full && h.opts.MaxAge <= 0:
		return time.Time{}
	case !full:
		if limit := h.opts.Now().Add(-h.opts.MaxAge).UTC(); limit.Before(oldest) {
			return limit
		}
	}
	return oldest
}

// decimation is a query under way.
type decimation struct {
	query    DecimateQuery
	bounds   bounds
	origin   int64 // µs, where the first bucket begins
	step     int64 // µs
	series   []series
	byName   map[seriesKey]int // index in series
	others   map[seriesKey]*Other
	present  map[seriesKey]bool // no others, although not wanted
	coverage coverage

	// of the block at hand
	runs    []run
	covered []bool // samples of which a series has a reading
}

type seriesKey struct {
	name string
	kind device.ValueType
	unit string
}

func keyOf(ch *device.Channel) seriesKey { return seriesKey{ch.Name, ch.Type, ch.Unit} }

func newDecimation(q DecimateQuery) (*decimation, error) {
	step := q.Step.Microseconds()
	b := (&Query{From: q.From, To: q.To}).bounds()
	if q.Step < MinStep || q.From.IsZero() || q.To.IsZero() || b.low > b.high || b.high > math.MaxInt64-step || b.low < math.MinInt64+step {
		return nil, fmt.Errorf("history: no such buckets: %v from %v to %v", q.Step, q.From, q.To)
	}
	d := &decimation{
		query: q, bounds: b, step: step, origin: floor(b.low, step),
		byName: map[seriesKey]int{}, others: map[seriesKey]*Other{}, present: map[seriesKey]bool{}, coverage: newCoverage(q.Expected),
	}
	// Not b.high-d.origin: that may not fit 64 bits.
	buckets := b.high/step - d.origin/step
	if buckets < 0 || buckets >= MaxBuckets || (buckets+1)*int64(len(q.Channels)) > MaxCells {
		return nil, fmt.Errorf("%w: %v from %v to %v for %d channels", ErrTooFine, q.Step, q.From, q.To, len(q.Channels))
	}
	for i, ch := range q.Channels {
		d.series = append(d.series, series{channel: ch, buckets: int(buckets) + 1})
		d.byName[keyOf(ch)] = i
	}
	if q.Present != nil {
		for i := range q.Present.Channels {
			d.present[keyOf(&q.Present.Channels[i])] = true
		}
	}
	return d, nil
}

// floor is the highest multiple of step that is not above t.
func floor(t, step int64) int64 {
	f := t - t%step
	if f > t {
		f -= step
	}
	return f
}

// add takes the samples of a block that are within the bounds.
func (d *decimation) add(src *source) {
	c := src.contents
	if d.cut(c); len(d.runs) == 0 {
		return
	}
	d.covered = append(d.covered[:0], make([]bool, len(c.data.Times))...)
	whole := false // a column of the block has all samples
	for i, ch := range c.channels {
		column := &c.data.Columns[i]
		at, ok := d.byName[keyOf(ch)]
		if !ok {
			d.other(ch, c, column)
			continue
		}
		d.series[at].add(c, column, ch, d.runs, src.number)
		if column.Present == nil {
			whole = true
			continue
		}
		for j, present := range column.Present {
			d.covered[j] = d.covered[j] || present
		}
	}
	for _, r := range d.runs {
		for i := r.low; i < r.high; i++ {
			if whole || d.covered[i] {
				d.coverage.add(c.data.Times[i])
			}
		}
	}
}

// run is samples of a block, from low to high-1, that belong to one bucket and ascend in time.
type run struct{ bucket, low, high int }

// cut finds the runs of the samples within the bounds.
func (d *decimation) cut(c *contents) {
	d.runs = d.runs[:0]
	times := c.data.Times
	for i := 0; i < len(times); {
		at := c.sample(i)
		t := times[at]
		i++
		if t < d.bounds.low {
			continue
		}
		if t > d.bounds.high {
			return
		}
		r := run{bucket: int((t - d.origin) / d.step), low: at, high: at + 1}
		if len(c.order) == 0 {
			end := min(d.origin+int64(r.bucket+1)*d.step-1, d.bounds.high)
			for i < len(times) && times[i] <= end {
				i++
			}
			r.high = i
		}
		d.runs = append(d.runs, r)
	}
}

// other counts the readings of a column that belongs to no series.
func (d *decimation) other(ch *device.Channel, c *contents, column *device.Column) {
	key := keyOf(ch)
	if d.present[key] {
		return
	}
	o := d.others[key]
	for _, r := range d.runs {
		for i := r.low; i < r.high; i++ {
			if column.Present != nil && !column.Present[i] {
				continue
			}
			t := device.Moment(c.data.Times[i])
			if o == nil {
				if len(d.others) == maxOthers {
					return
				}
				o = &Other{Name: ch.Name, Type: ch.Type, Unit: ch.Unit, First: t, Last: t}
				d.others[key] = o
			}
			o.Readings++
			if t.Before(o.First) {
				o.First = t
			}
			if t.After(o.Last) {
				o.Last = t
			}
		}
	}
}
