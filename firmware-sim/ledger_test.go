package firmwaresim

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const ledgerFrames = 600

// honest is what a hub without fault would say of a device's script: all frames but those sent broken, and those the
// device has overwritten.
type honest struct {
	script *script
	device *deviceBooks
	rows   []reading
	hub    hubBooks
}

func newHonest(clock device.Clock) *honest {
	h := &honest{
		script: newScript(1, "sim-0001", clock, time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)),
		device: &deviceBooks{created: ledgerFrames, sent: ledgerFrames + 20, firsts: ledgerFrames - 5, connects: 3},
	}
	h.device.lost.AddRange(101, 110)
	for seq := uint64(1); seq <= ledgerFrames; seq++ {
		switch {
		case h.device.lost.Contains(seq):
			h.hub.Lost++
		case h.script.corrupt(seq):
			h.device.acked.Add(seq)
			h.hub.Rejected++
		default:
			h.device.acked.Add(seq)
			h.hub.Frames++
			h.rows = append(h.rows, h.script.rows(seq)...)
		}
	}
	h.hub.Readings = uint64(len(h.rows))
	h.hub.Duplicates = 12
	return h
}

// rows is the frame as the hub gives it back.
func (s *script) rows(seq uint64) (rows []reading) {
	for i := range s.samples(seq) {
		for c := range s.schema.Channels {
			if v, ok := s.value(seq, i, c); ok {
				at := s.origin + s.time(seq, i)
				rows = append(rows, reading{time: at, channel: s.schema.Channels[c].Name, value: string(v.AppendText(nil))})
			}
		}
	}
	return rows
}

func (h *honest) judge() []string {
	l := newLedger(h.script, h.device)
	for _, r := range h.rows {
		l.row(r)
	}
	_, complaints := l.close(h.hub)
	return complaints
}

func TestLedgerAgrees(t *testing.T) {
	for _, clock := range []device.Clock{device.ClockWall, device.ClockBoot} {
		h := newHonest(clock)
		if h.hub.Rejected == 0 || h.hub.Lost != 10 {
			t.Fatalf("the case shows nothing: %+v", h.hub)
		}
		if got := h.judge(); len(got) > 0 {
			t.Errorf("clock %v: %q", clock, got)
		}
	}
}

// Each kind of disagreement is found and named.
func TestLedgerDisagrees(t *testing.T) {
	// firstRow is the place of a frame's first row.
	firstRow := func(h *honest, seq uint64) int {
		at := h.script.origin + h.script.time(seq, 0)
		return slices.IndexFunc(h.rows, func(r reading) bool { return r.time == at })
	}
	drop := func(h *honest, seq uint64) {
		i, n := firstRow(h, seq), h.script.readings(seq)
		h.rows = slices.Delete(h.rows, i, i+n)
	}
	broken := func(h *honest) uint64 {
		for seq := uint64(1); ; seq++ {
			if h.script.corrupt(seq) && !h.device.lost.Contains(seq) {
				return seq
			}
		}
	}
	const seq = 42 // an ordinary frame
	for _, c := range []struct {
		name  string
		want  string
		spoil func(h *honest)
	}{
		{"acknowledged frame missing", "frame 42 was acknowledged and is missing", func(h *honest) { drop(h, seq) }},
		{"frame missing", "frame 42 is missing", func(h *honest) { drop(h, seq); h.device.acked = device.SeqSet{} }},
		{"last frame missing", "frame 600 was acknowledged", func(h *honest) { drop(h, ledgerFrames) }},
		{"first frame missing", "frame 1 was acknowledged", func(h *honest) { drop(h, 1) }},
		{"frame missing, and its books too", "600 frames, but the hub has 599", func(h *honest) {
			h.hub.Frames--
			h.hub.Readings -= uint64(h.script.readings(seq))
			drop(h, seq)
		}},
		{"lost frame nobody declared", "is missing", func(h *honest) {
			drop(h, seq)
			h.hub.Frames--
			h.hub.Lost++
		}},
		{"one reading missing", "frame 42 has", func(h *honest) {
			i := firstRow(h, seq)
			h.rows = slices.Delete(h.rows, i, i+1)
		}},
		{"row twice", "twice or out of order", func(h *honest) {
			i := firstRow(h, seq)
			h.rows = slices.Insert(h.rows, i, h.rows[i])
		}},
		{"frame twice", "twice or out of order", func(h *honest) {
			i, n := firstRow(h, seq), h.script.readings(seq)
			h.rows = slices.Insert(h.rows, i, slices.Clone(h.rows[i:i+n])...)
		}},
		{"rows out of order", "twice or out of order", func(h *honest) {
			i := firstRow(h, seq)
			j := firstRow(h, seq+1)
			h.rows[i], h.rows[j] = h.rows[j], h.rows[i]
		}},
		{"wrong value", `count is "7"`, func(h *honest) { h.rows[firstRow(h, seq)].value = "7" }},
		{"time beyond all frames", "never sent", func(h *honest) {
			h.rows = append(h.rows, h.script.rows(ledgerFrames + 1)[0])
		}},
		{"time between samples", "never sent", func(h *honest) { h.rows[firstRow(h, seq)].time++ }},
		{"time before all frames", "never sent", func(h *honest) { h.rows[0].time = 0 }},
		{"unknown channel", `"pressure" that was never sent`, func(h *honest) { h.rows[firstRow(h, seq)].channel = "pressure" }},
		{"broken frame stored", "was sent broken and is stored", func(h *honest) {
			b := broken(h)
			i := slices.IndexFunc(h.rows, func(r reading) bool { return r.time > h.script.time(b, 0) })
			h.rows = slices.Insert(h.rows, i, h.script.rows(b)...)
		}},
		{"overwritten frame neither stored nor entered", "600 frames, but the hub has 599", func(h *honest) { h.hub.Lost-- }},
		{"books too high", "600 frames, but the hub has 601", func(h *honest) { h.hub.Frames++ }},
		{"stored but entered as lost", "stored", func(h *honest) { h.hub.Frames--; h.hub.Lost++ }},
		{"rejected but entered as lost", "frames as lost", func(h *honest) { h.hub.Rejected--; h.hub.Lost++ }},
		{"rejected too many", "rejected", func(h *honest) { h.hub.Frames--; h.hub.Rejected++ }},
		{"readings counted wrong", "readings and gives back", func(h *honest) { h.hub.Readings++ }},
		{"hole", "still waits", func(h *honest) { h.hub.Holes = 1 }},
		{"more duplicates than repeats", "duplicates", func(h *honest) { h.hub.Duplicates = 26 }},
		{"more arrived than sent", "arrived", func(h *honest) { h.device.sent = 500; h.device.firsts = 480 }},
		{"one connection, one transmission gone", "over one connection", func(h *honest) { h.device.connects = 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHonest(device.ClockWall)
			c.spoil(h)
			got := h.judge()
			if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("complaints %q, want one with %q", got, c.want)
			}
		})
	}
}

// An overwritten frame that the hub had nevertheless is no disagreement: the acknowledgement was lost, not the frame.
func TestLedgerTakesStoredAlthoughOverwritten(t *testing.T) {
	h := newHonest(device.ClockWall)
	i := slices.IndexFunc(h.rows, func(r reading) bool { return r.time > h.script.time(105, 0) })
	rows := h.script.rows(105)
	h.rows = slices.Insert(h.rows, i, rows...)
	h.hub.Frames++
	h.hub.Lost--
	h.hub.Readings += uint64(len(rows))
	if got := h.judge(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

func TestLedgerTolerance(t *testing.T) {
	h := newHonest(device.ClockBoot)
	off := h.script.layout.tolerance
	for _, shift := range []int64{off, -off, 1_234_567} {
		shifted := *h
		shifted.rows = slices.Clone(h.rows)
		for i := range shifted.rows {
			shifted.rows[i].time += shift
		}
		if got := shifted.judge(); len(got) > 0 {
			t.Errorf("%d µs off: %q", shift, got)
		}
	}
	for i := range h.rows {
		h.rows[i].time += off + 1
	}
	if len(h.judge()) == 0 {
		t.Error("times beyond the tolerance were accepted")
	}
}

func TestReport(t *testing.T) {
	h := newHonest(device.ClockWall)
	r := &Report{Kills: 3}
	l := newLedger(h.script, h.device)
	for _, row := range h.rows {
		l.row(row)
	}
	r.add("sim-0001", l, h.hub)
	r.checkDeadLetters(h.hub.Rejected)
	if !r.Agrees() || r.Created != ledgerFrames || !strings.Contains(r.String(), "every frame is accounted for") {
		t.Fatalf("%v", r)
	}
	before := *r
	r.checkDeadLetters(h.hub.Rejected - 1)
	if r.Agrees() || !strings.Contains(r.String(), "dead letters") {
		t.Errorf("a dead letter is missing: %v", r)
	}
	*r = before
	r.Books.Duplicates++
	r.compareTotals(&before)
	if r.Agrees() || !strings.Contains(r.String(), "restart") {
		t.Errorf("other books after a restart: %v", r)
	}
	*r = before
	r.add("sim-0002", newLedger(h.script, h.device), h.hub) // not one row came back
	if r.Agrees() || !strings.Contains(r.String(), "sim-0002: ") || !strings.Contains(r.String(), "more") {
		t.Errorf("a device lost everything: %v", r)
	}
}

func TestSameValue(t *testing.T) {
	for _, c := range []struct {
		v    device.Value
		text string
		want bool
	}{
		{device.Value{Type: device.Int, Scale: -3, Bits: 23700}, "23.700", true},
		{device.Value{Type: device.Int, Scale: -3, Bits: 23700}, "23.7", true},
		{device.Value{Type: device.Int, Scale: -3, Bits: 23700}, "23.7001", false},
		{device.Value{Type: device.Int, Scale: -3, Bits: 23700}, "237", false},
		{device.Value{Type: device.Int, Bits: 1 << 63}, "-9223372036854775808", true},
		{device.Value{Type: device.Int, Bits: 0}, "", false},
		{device.Value{Type: device.Bool, Bits: 1}, "true", true},
		{device.Value{Type: device.Bool, Bits: 1}, "1", false},
		{device.Value{Type: device.Float32, Bits: float32Bits(0.1)}, "0.1", true},
		{device.Value{Type: device.Float64, Bits: math.Float64bits(0.1)}, "0.10000000000000002", false},
		{device.Value{Type: device.Float64, Bits: math.Float64bits(math.Copysign(0, -1))}, "-0", true},
		{device.Value{Type: device.Float64, Bits: math.Float64bits(math.Copysign(0, -1))}, "0", false},
		{device.Value{Type: device.Float64, Bits: math.Float64bits(math.NaN())}, "NaN", true},
		{device.Value{Type: device.Float64, Bits: math.Float64bits(math.NaN())}, "1", false},
		{device.Value{Type: device.String, Text: "a\n\"b\""}, "a\n\"b\"", true},
		{device.Value{Type: device.String, Text: "a"}, "b", false},
	} {
		if got := sameValue(c.v, c.text); got != c.want {
			t.Errorf("%+v and %q: %v", c.v, c.text, got)
		}
	}
}
