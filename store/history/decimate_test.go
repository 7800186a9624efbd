package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// sum is a bucket with its values in full.
type sum struct {
	at             time.Time
	min, max, last device.Value
}

// plain sums up flat readings one after the other.
func plain(q DecimateQuery, all []flat) [][]sum {
	step := q.Step.Microseconds()
	out := make([][]sum, len(q.Channels))
	for i, ch := range q.Channels {
		bucket := int64(math.MinInt64)
		for _, f := range all {
			if f.channel != ch.Name || f.value.Type != ch.Type {
				continue
			}
			if at := floor(f.time, step); at != bucket {
				bucket = at
				out[i] = append(out[i], sum{min: f.value, max: f.value})
			}
			b := &out[i][len(out[i])-1]
			b.at, b.last = time.UnixMicro(f.time).UTC(), f.value
			if isNaN(b.min) || below(f.value, b.min) {
				b.min = f.value
			}
			if isNaN(b.max) || below(b.max, f.value) {
				b.max = f.value
			}
		}
	}
	return out
}

func isNaN(v device.Value) bool { f, _ := v.Float(); return math.IsNaN(f) }

func below(a, b device.Value) bool {
	if a.Type == device.Int && a.Scale == b.Scale {
		return int64(a.Bits) < int64(b.Bits)
	}
	x, _ := a.Float()
	y, _ := b.Float()
	return x < y
}

// sums are the buckets of a series.
func sums(s *Series) (list []sum) {
	for _, b := range s.Buckets {
		if s.Type == device.String {
			list = append(list, sum{at: b.Time, last: device.Value{Type: device.String, Text: b.Text}})
			continue
		}
		list = append(list, sum{b.Time, s.Value(b.Min), s.Value(b.Max), s.Value(b.Last)})
	}
	return list
}

// same compares the values of a series: integers of one scale to the last digit.
func same(got, want sum) bool {
	equal := func(a, b device.Value) bool {
		if a.Type == device.Int || a.Type == device.String {
			return a == b
		}
		x, _ := a.Float()
		y, _ := b.Float()
		return x == y || math.IsNaN(x) && math.IsNaN(y)
	}
	return got.at.Equal(want.at) && equal(got.last, want.last) &&
		(got.last.Type == device.String || equal(got.min, want.min) && equal(got.max, want.max))
}

func compareDecimated(t *testing.T, what string, q DecimateQuery, got *Decimated, all []flat) {
	t.Helper()
	want := plain(q, all)
	for i := range q.Channels {
		name := q.Channels[i].Name
		list := sums(&got.Series[i])
		if len(list) != len(want[i]) {
			t.Fatalf("%s: %s has %d buckets, want %d", what, name, len(list), len(want[i]))
		}
		for j := range list {
			if !same(list[j], want[i][j]) {
				t.Fatalf("%s: bucket %d of %s is\n%+v, want\n%+v", what, j, name, list[j], want[i][j])
			}
		}
	}
}

// inBounds leaves out what is not asked for.
func inBounds(all []flat, q DecimateQuery) []flat {
	return slices.DeleteFunc(slices.Clone(all), func(f flat) bool {
		at := time.UnixMicro(f.time)
		return at.Before(q.From) || !at.Before(q.To)
	})
}

func decimate(t testing.TB, h *History, q DecimateQuery) *Decimated {
	t.Helper()
	d, err := h.Decimate(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDecimateModel has random frames, out of order, doubled, with values missing, in the index, behind it and in memory
// only, and compares with sums over what Readings yields.
func TestDecimateModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(100 + seed)
			o := testOptions(t)
			o.MaxBytes = 16 << 20
			h := mustOpen(t, o)
			next := uint64(1)
			for round := range 6 {
				w.frames(200, "a", "b")
				w.feed(t, h, next, w.end())
				next = w.end()
				if round == 2 {
					if err := updateIndex(h); err != nil {
						t.Fatal(err)
					}
				}
				if round < 5 {
					if err := h.Flush(round%2 == 0); err != nil {
						t.Fatal(err)
					}
				}
				all := w.expect(t, Query{Device: "a"}, w.end())
				for range 10 {
					q := DecimateQuery{Device: "a", Channels: channelsOf(w)}
					a, b := all[w.rng.IntN(len(all))].time, all[w.rng.IntN(len(all))].time
					q.From, q.To = time.UnixMicro(min(a, b)), time.UnixMicro(max(a, b)+w.rng.Int64N(2))
					if a == b {
						q.To = q.From.Add(time.Second)
					}
					width := uint64(max(a, b)) - uint64(min(a, b)) // perhaps above 63 bits
					q.Step = time.Duration(min(max(width/uint64(1+w.rng.IntN(900)), 1000), math.MaxInt64/2000)) * time.Microsecond
					got, err := h.Decimate(t.Context(), q)
					if width > math.MaxInt64/2000 {
						continue // further apart than a step can be long
					}
					if err != nil {
						t.Fatalf("%v from %v to %v: %v", q.Step, q.From, q.To, err)
					}
					compareDecimated(t, fmt.Sprint("round ", round), q, got, inBounds(all, q))
				}
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Decimate(t.Context(), DecimateQuery{Device: "a", From: time.Unix(1, 0), To: time.Unix(2, 0), Step: time.Second}); err == nil {
				t.Error("a closed history can be read")
			}
		})
	}
}

func channelsOf(w *world) []*device.Channel {
	var list []*device.Channel
	for i := range w.schemas[0].schema.Channels {
		list = append(list, &w.schemas[0].schema.Channels[i])
	}
	return list
}

// sampled makes a frame of the device "d" with one value of each channel at each time.
func sampled(position uint64, s testSchema, value func(channel, sample int) any, times ...int64) *Frame {
	d := device.Data{Seq: 1, Times: times}
	for i, ch := range s.schema.Channels {
		c := device.Column{ID: ch.ID, Type: ch.Type, Present: make([]bool, len(times))}
		if ch.Type == device.String {
			c.Text = make([][]byte, len(times))
		} else {
			c.Bits = make([]uint64, len(times))
		}
		for j := range times {
			c.Present[j] = true
			switch v := value(i, j).(type) {
			case nil:
				c.Present[j] = false
			case int:
				c.Bits[j] = uint64(v)
			case int64:
				c.Bits[j] = uint64(v)
			case float64:
				c.Bits[j] = math.Float64bits(v)
			case string:
				c.Text[j] = []byte(v)
			}
		}
		d.Columns = append(d.Columns, c)
	}
	data, err := device.AppendData(nil, &d, s.schema)
	if err != nil {
		panic(err)
	}
	return &Frame{Position: position, Device: "d", Schema: s.schema, SchemaHash: s.hash, SchemaBytes: s.message, Data: data}
}

// TestDecimateSchemaChange has a channel that changes its number and scale, which is the same series, and channels that
// change type or unit, which are not.
func TestDecimateSchemaChange(t *testing.T) {
	old := makeSchema(
		device.Channel{ID: 1, Name: "temperature", Type: device.Int, Scale: -1, Unit: "Cel"},
		device.Channel{ID: 2, Name: "level", Type: device.Int},
		device.Channel{ID: 3, Name: "flow", Type: device.Float64, Unit: "l/min"},
		device.Channel{ID: 4, Name: "gone", Type: device.Bool},
	)
	now := makeSchema(
		device.Channel{ID: 1, Name: "level", Type: device.Float64},
		device.Channel{ID: 2, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel"},
		device.Channel{ID: 3, Name: "flow", Type: device.Float64, Unit: "m3/h"},
	)
	h := mustOpen(t, testOptions(t))
	defer h.Close()
	const second = 1_000_000
	for _, f := range []*Frame{
		sampled(1, old, func(ch, i int) any { return []any{205, 7, 1.5, 1}[ch] }, 1*second, 2*second),
		sampled(2, now, func(ch, i int) any { return []any{0.25, 2071, 9.0}[ch] }, 3*second),
	} {
		if err := h.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	q := DecimateQuery{Device: "d", From: time.Unix(0, 0), To: time.Unix(10, 0), Step: 10 * time.Second}
	for i := range now.schema.Channels {
		q.Channels = append(q.Channels, &now.schema.Channels[i])
	}
	for range 2 { // from memory, then from the file
		got := decimate(t, h, q)
		number := func(f float64) device.Value { return device.Value{Type: device.Float64, Bits: math.Float64bits(f)} }
		at := time.Unix(3, 0).UTC()
		for i, want := range []sum{
			{at, number(0.25), number(0.25), number(0.25)},
			{at, number(20.5), number(20.71), number(20.71)}, // of two scales
			{at, number(9), number(9), number(9)},
		} {
			if b := sums(&got.Series[i]); len(b) != 1 || b[0] != want {
				t.Errorf("%s: %+v, want %+v", got.Series[i].Channel.Name, b, want)
			}
		}
		others := []Other{
			{Name: "flow", Type: device.Float64, Unit: "l/min", Readings: 2},
			{Name: "gone", Type: device.Bool, Readings: 2},
			{Name: "level", Type: device.Int, Readings: 2},
		}
		for i := range others {
			others[i].First, others[i].Last = time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC()
		}
		if !slices.Equal(got.Others, others) {
			t.Errorf("others: %+v, want %+v", got.Others, others)
		}
		if err := h.Flush(true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDecimateValues has what is no number, text that is too long, and repeated times.
func TestDecimateValues(t *testing.T) {
	s := makeSchema(
		device.Channel{ID: 1, Name: "f", Type: device.Float64},
		device.Channel{ID: 2, Name: "s", Type: device.String},
		device.Channel{ID: 3, Name: "b", Type: device.Bool},
		device.Channel{ID: 4, Name: "huge", Type: device.Int, Scale: 18},
	)
	h := mustOpen(t, testOptions(t))
	defer h.Close()
	long := strings.Repeat("é", maxText)
	for position, values := range [][]any{
		{math.NaN(), "first", 1, 1},
		{math.Inf(1), long, 0, nil},
		{nil, "last", nil, int64(math.MinInt64)},
		{math.NaN(), nil, 0, nil},
	} {
		if err := h.Add(sampled(uint64(position+1), s, func(ch, _ int) any { return values[ch] }, 5_000_000)); err != nil {
			t.Fatal(err)
		}
	}
	q := DecimateQuery{Device: "d", From: time.Unix(5, 0), To: time.Unix(6, 0), Step: time.Second}
	for i := range s.schema.Channels {
		q.Channels = append(q.Channels, &s.schema.Channels[i])
	}
	all := read(t, h, Query{Device: "d"})
	compareDecimated(t, "odd values", q, decimate(t, h, q), all)
	if err := h.Add(sampled(5, s, func(ch, _ int) any { return []any{nil, long, nil, nil}[ch] }, 5_500_000)); err != nil {
		t.Fatal(err)
	}
	text := decimate(t, h, q).Series[1].Buckets[0].Text
	if len(text) > maxText || !strings.HasSuffix(text, "é…") || !strings.HasPrefix(long, strings.TrimSuffix(text, "…")) {
		t.Errorf("a long text became %d bytes, ending with %q", len(text), text[len(text)-8:])
	}
}

// TestDecimateKeepsDigits has integers that no float can hold, which are told apart as long as their scale is one.
func TestDecimateKeepsDigits(t *testing.T) {
	s := makeSchema(device.Channel{ID: 1, Name: "counter", Type: device.Int}, device.Channel{ID: 2, Name: "money", Type: device.Int, Scale: -2})
	h := mustOpen(t, testOptions(t))
	defer h.Close()
	const counter, money = int64(1<<53 + 1), int64(math.MaxInt64)
	values := [][]any{{counter, money - 1}, {counter + 1, money}, {counter - 1, int64(math.MinInt64)}, {counter, money - 2}}
	if err := h.Add(sampled(1, s, func(ch, i int) any { return values[i][ch] }, 1_000_000, 2_000_000, 3_000_000, 4_000_000)); err != nil {
		t.Fatal(err)
	}
	q := DecimateQuery{Device: "d", From: time.Unix(0, 0), To: time.Unix(10, 0), Step: 10 * time.Second}
	for i := range s.schema.Channels {
		q.Channels = append(q.Channels, &s.schema.Channels[i])
	}
	got := decimate(t, h, q)
	for i, want := range [][3]string{
		{"9007199254740992", "9007199254740994", "9007199254740993"},
		{"-92233720368547758.08", "92233720368547758.07", "92233720368547758.05"},
	} {
		list := sums(&got.Series[i])
		text := func(v device.Value) string { return string(v.AppendText(nil)) }
		if b := list[0]; len(list) != 1 || [3]string{text(b.min), text(b.max), text(b.last)} != want {
			t.Errorf("%+v, want %v", list, want)
		}
	}
}

func TestDecimateRefuses(t *testing.T) {
	h := mustOpen(t, testOptions(t))
	defer h.Close()
	from := time.Unix(1_700_000_000, 0)
	channel := &device.Channel{Name: "n", Type: device.Int}
	for what, q := range map[string]DecimateQuery{
		"no step":            {From: from, To: from.Add(time.Hour)},
		"a step below 1 ms":  {From: from, To: from.Add(time.Second), Step: time.Microsecond},
		"nothing in between": {From: from, To: from, Step: time.Second},
		"backwards":          {From: from, To: from.Add(-time.Hour), Step: time.Second},
		"no end":             {From: from, Step: time.Second},
		"the end of time":    {From: from, To: time.UnixMicro(math.MaxInt64).Add(time.Second), Step: time.Second},
		"too many buckets":   {From: from, To: from.Add((MaxBuckets + 1) * time.Second), Step: time.Second},
		"all of time":        {From: time.UnixMicro(math.MinInt64 + 1e9), To: time.UnixMicro(math.MaxInt64 - 1e9), Step: time.Second},
		"too many channels": {
			From: from, To: from.Add(time.Hour), Step: time.Second,
			Channels: slices.Repeat([]*device.Channel{channel}, MaxCells/3600+1),
		},
	} {
		q.Device = "d"
		if _, err := h.Decimate(t.Context(), q); err == nil {
			t.Errorf("%s: answered", what)
		} else if strings.HasPrefix(what, "too many") != errors.Is(err, ErrTooFine) && what != "all of time" {
			t.Errorf("%s: %v", what, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the viewer left")
	cancel(reason)
	if _, err := h.Decimate(ctx, DecimateQuery{Device: "d", From: from, To: from.Add(time.Second), Step: time.Second}); !errors.Is(err, reason) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestGaps compares with gaps found in the sorted times.
func TestGaps(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 7))
		expected := time.Duration(r.IntN(2)) * time.Second
		n := 3 + r.IntN(800)
		times := make([]int64, 0, n)
		for at := int64(0); len(times) < n; {
			times = append(times, at)
			switch r.IntN(20) {
			case 0:
				at += r.Int64N(1e8)
			case 1:
			default:
				at += 1e6 + r.Int64N(1000)
			}
		}
		b := bounds{times[0] - r.Int64N(2e7), times[n-1] + r.Int64N(2e7)}
		order := slices.Clone(times)
		shuffled := seed%2 == 0
		if shuffled { // blocks never come like this, but gaps are gaps
			r.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
		} else { // the live data before the backlog
			order = append(slices.Clone(times[n/2:]), times[:n/2]...)
		}
		c := newCoverage(expected)
		for _, at := range order {
			c.add(at)
		}
		got, least, _ := c.gaps(expected, b)
		if len(got) > maxGaps {
			t.Fatalf("seed %d: %d gaps", seed, len(got))
		}
		var want []Span
		for before, next := range zip(append(append([]int64{b.low}, times...), b.high)) {
			if next-before > least.Microseconds() {
				want = append(want, Span{time.UnixMicro(before).UTC(), time.UnixMicro(next).UTC()})
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: gaps above %v are\n%v, want\n%v", seed, least, got, want)
		}
		if !shuffled && n > 100 && len(want) < maxGaps/2 && (least < 3*time.Second || least > 4*time.Second) {
			t.Errorf("seed %d: the shortest gap told is %v, samples come every second", seed, least)
		}
	}
}

func zip(list []int64) func(func(a, b int64) bool) {
	return func(yield func(a, b int64) bool) {
		for i := 1; i < len(list) && yield(list[i-1], list[i]); i++ {
		}
	}
}

// TestGapsBounded has more gaps than are kept, at the far ends of time too.
func TestGapsBounded(t *testing.T) {
	c := newCoverage(0)
	r := rand.New(rand.NewPCG(1, 1))
	at := int64(math.MinInt64)
	for range 20_000 {
		c.add(at)
		at += 1_000_000 + r.Int64N(1e12)
		if len(c.stretches) > maxStretches {
			t.Fatalf("%d stretches", len(c.stretches))
		}
	}
	c.add(math.MaxInt64)
	gaps, least, spacing := c.gaps(0, bounds{math.MinInt64, math.MaxInt64})
	if len(gaps) != 1 || spacing < time.Duration(4e11)*time.Microsecond || spacing > time.Duration(6e11)*time.Microsecond {
		t.Errorf("%d gaps above %v, spacing %v", len(gaps), least, spacing)
	}

	c = newCoverage(time.Second)
	at = 0
	for i := range 200_000 {
		c.add(at)
		if at += 1_000_000; i%100 == 0 {
			at += 10_000_000 + r.Int64N(1e9)
		}
	}
	gaps, least, _ = c.gaps(time.Second, bounds{0, at})
	if len(gaps) < maxGaps*3/4 || len(gaps) > maxGaps || least < 10*time.Second {
		t.Errorf("%d gaps above %v", len(gaps), least)
	}
}

// TestGapsBackwards has a long backlog that comes newest first: it is no row of gaps while it comes.
func TestGapsBackwards(t *testing.T) {
	c := newCoverage(time.Second)
	const n = 3 * maxStretches
	for i := range int64(n) {
		c.add((n - i) * 1_000_000)
	}
	if len(c.stretches) != 1 {
		t.Errorf("%d stretches", len(c.stretches))
	}
	if gaps, least, _ := c.gaps(time.Second, bounds{0, n * 1_000_000}); len(gaps) != 0 || least != 3*time.Second {
		t.Errorf("%d gaps above %v", len(gaps), least)
	}
}

func TestMedian(t *testing.T) {
	for _, n := range []uint64{1, 7, 8, 15, 16, 17, 1000, 1_000_000, 123_456_789, math.MaxUint64 / 3, math.MaxUint64} {
		var h histogram
		for range 5 {
			h.add(n)
			h.add(0)
		}
		if m := h.median(); m < n || float64(m) > float64(n)*1.125 {
			t.Errorf("the median of %d is %d", n, m)
		}
	}
}

// TestExpired has blocks deleted at the limits, and others with their device.
func TestExpired(t *testing.T) {
	o := testOptions(t)
	start := time.Unix(1_700_000_000, 0).UTC()
	now := start
	o.Now = func() time.Time { return now }
	q := DecimateQuery{Device: "d", From: start, To: start.Add(time.Hour), Step: time.Minute}
	h := mustOpen(t, o)
	add := func(position uint64, device string) {
		t.Helper()
		f := one(position, now.UnixMicro())
		f.Device, f.Received = device, now
		if err := errors.Join(h.Add(f), h.Flush(true)); err != nil {
			t.Fatal(err)
		}
	}
	add(1, "gone")
	add(2, "d")
	if err := h.Remove("gone"); err != nil {
		t.Fatal(err)
	}
	if e := decimate(t, h, q).Expired; !e.IsZero() {
		t.Errorf("the block of a removed device expired at %v", e)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	o.MaxAge = time.Hour
	h = mustOpen(t, o)
	defer h.Close()
	now = start.Add(2 * time.Hour)
	add(3, "d")
	d := decimate(t, h, q)
	if !d.Expired.Equal(start.Add(time.Hour)) || len(d.Gaps) != 1 {
		t.Errorf("expired up to %v, gaps %v", d.Expired, d.Gaps)
	}
}
