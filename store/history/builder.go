package history

import (
	"fmt"
	"math"
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// openBlocks is how many blocks of a device grow side by side. A device that sends its backlog behind its live data would
// otherwise fill blocks that reach from the backlog to now, and whoever reads would have to open them all at once.
const openBlocks = 2

// builder makes blocks of frames.
type builder struct {
	device string
	newest [openBlocks]int64 // newest time in each open block, and in those before it
	got    [openBlocks]bool  // frames since begin
	open   [openBlocks]openBlock
	blocks []built

	scratch device.Data
}

// built is a finished block, not yet in the file.
type built struct {
	entry  // without a number
	format *format
	value  []byte // checksum missing
}

// begin prepares for frames of another device.
func (w *builder) begin(deviceID string, newest [openBlocks]int64) {
	w.device, w.newest, w.got, w.blocks = deviceID, newest, [openBlocks]bool{}, nil
	for i := range w.open {
		w.open[i].reset()
	}
}

// add puts a frame into one of the open blocks.
func (w *builder) add(m mark, f *format, data []byte) error {
	d := &w.scratch
	if err := device.ParseData(data, f.schema, d); err != nil {
		return fmt.Errorf("frame of %s at position %d: %w", w.device, m.position, err)
	}
	for i, t := range d.Times {
		d.Times[i] = shift(t, m.offset)
	}
	i := w.choose(slices.Min(d.Times))
	p := &w.open[i]
	if len(p.parts) > 0 && !p.takes(f, d) {
		if err := w.finish(p); err != nil {
			return err
		}
	}
	p.format = f
	p.parts = append(p.parts, part{position: m.position, received: m.received, samples: len(d.Times)})
	p.merge(d)
	w.newest[i], w.got[i] = max(w.newest[i], slices.Max(d.Times)), true
	return nil
}

// choose returns the open block that a frame which begins at time first goes to: the one that reaches closest to it from below.
func (w *builder) choose(first int64) int {
	best := 0
	for i := 1; i < openBlocks; i++ {
		fits, bestFits := w.newest[i] <= first, w.newest[best] <= first
		switch {
		case fits && bestFits:
			if w.newest[i] > w.newest[best] {
				best = i
			}
		case fits || !bestFits && w.newest[i] < w.newest[best]:
			best = i
		}
	}
	return best
}

// end finishes the open blocks and returns all blocks. One that got nothing is free for frames of any time.
func (w *builder) end() ([]built, error) {
	for i := range w.open {
		if !w.got[i] {
			w.newest[i] = math.MinInt64
		}
		if err := w.finish(&w.open[i]); err != nil {
			return nil, err
		}
	}
	return w.blocks, nil
}

// finish ends an open block: it becomes one block, or more than one if the codec can't put all of it into one message.
func (w *builder) finish(p *openBlock) error {
	if len(p.parts) == 0 {
		return nil
	}
	defer p.reset()
	return w.encode(p.format, p.parts, &p.data)
}

func (w *builder) encode(f *format, parts []part, d *device.Data) error {
	value, err := appendBlock(make([]byte, 0, blockBytes), w.device, f, parts, d)
	if err == nil {
		e := entry{first: slices.Min(d.Times), last: slices.Max(d.Times), hash: f.hash}
		w.blocks = append(w.blocks, built{entry: e, format: f, value: value})
		return nil
	}
	// Too long, or times so far apart that their difference has no 64 bits. Half of it may do, and one sample always does.
	n := len(d.Times)
	if n == 1 {
		return fmt.Errorf("a sample of %s at position %d: %w", w.device, parts[0].position, err)
	}
	for _, r := range [][2]int{{0, n / 2}, {n / 2, n}} {
		half := slice(d, r[0], r[1])
		if err := w.encode(f, sliceParts(parts, r[0], r[1]), &half); err != nil {
			return err
		}
	}
	return nil
}

// slice returns the samples from low to high-1.
func slice(d *device.Data, low, high int) device.Data {
	out := device.Data{Seq: d.Seq, Times: d.Times[low:high]}
	for _, c := range d.Columns {
		c.Present = c.Present[low:high]
		if c.Type == device.String {
			c.Text = c.Text[low:high]
		} else {
			c.Bits = c.Bits[low:high]
		}
		out.Columns = append(out.Columns, c)
	}
	return out
}

// sliceParts returns the shares of the samples from low to high-1.
func sliceParts(parts []part, low, high int) []part {
	var out []part
	start := 0
	for _, p := range parts {
		end := start + p.samples
		if n := min(end, high) - max(start, low); n > 0 {
			out = append(out, part{position: p.position, received: p.received, samples: n})
		}
		start = end
	}
	return out
}

// shift adds the offset to a time; what 64 bits can't hold becomes the last time they can.
func shift(t, offset int64) int64 {
	switch {
	case offset > 0 && t > math.MaxInt64-offset:
		return math.MaxInt64
	case offset < 0 && t < math.MinInt64-offset:
		return math.MinInt64
	}
	return t + offset
}
