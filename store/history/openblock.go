package history

import (
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// openBlock is a block that is being filled.
type openBlock struct {
	format *format
	parts  []part
	data   device.Data // every column has Present
}

func (p *openBlock) reset() {
	p.parts = p.parts[:0]
	p.data.Seq = 1
	p.data.Times = p.data.Times[:0]
	for _, c := range p.data.Columns {
		clear(c.Text) // it aliases messages
	}
	p.data.Columns = p.data.Columns[:0]
}

// takes tells whether the samples of d fit the block.
func (p *openBlock) takes(f *format, d *device.Data) bool {
	samples := len(p.data.Times) + len(d.Times)
	return p.format.hash == f.hash && p.format.quality == f.quality &&
		samples <= device.MaxSamples && samples*p.columnsWith(d) <= device.MaxReadings
}

// columnsWith is how many columns the block has once it has those of d too.
func (p *openBlock) columnsWith(d *device.Data) int {
	n, at := len(p.data.Columns), 0
	for i := range d.Columns {
		var ok bool
		if at, ok = p.column(d.Columns[i].ID, at); ok {
			at++
		} else {
			n++
		}
	}
	return n
}

// column returns where the column of a channel is, or would be. It is most likely at the index likely: the columns of a frame and
// those of a block are mostly the same ones.
func (p *openBlock) column(id uint16, likely int) (at int, ok bool) {
	if likely < len(p.data.Columns) && p.data.Columns[likely].ID == id {
		return likely, true
	}
	return slices.BinarySearchFunc(p.data.Columns, id, func(c device.Column, id uint16) int { return int(c.ID) - int(id) })
}

// merge appends the samples of d.
func (p *openBlock) merge(d *device.Data) {
	before, n := len(p.data.Times), len(d.Times)
	p.data.Times = append(p.data.Times, d.Times...)
	next := 0
	for i := range d.Columns {
		from := &d.Columns[i]
		at, ok := p.column(from.ID, next)
		if !ok {
			p.insert(at, from, before)
		}
		next = at + 1
		c := &p.data.Columns[at]
		if from.Type == device.String {
			c.Text = append(c.Text, from.Text...)
		} else {
			c.Bits = append(c.Bits, from.Bits...)
		}
		for j := range n {
			c.Present = append(c.Present, from.Present == nil || from.Present[j])
		}
	}
	if len(d.Columns) < len(p.data.Columns) {
		for i := range p.data.Columns {
			pad(&p.data.Columns[i], before+n)
		}
	}
}

// insert makes a column like c with n absent values. It takes over the memory of a column of an earlier block.
func (p *openBlock) insert(at int, like *device.Column, n int) {
	columns := slices.Grow(p.data.Columns, 1)
	c := columns[:len(columns)+1][len(columns)]
	p.data.Columns = slices.Insert(columns, at, device.Column{
		ID: like.ID, Type: like.Type, Present: c.Present[:0], Bits: c.Bits[:0], Text: c.Text[:0],
	})
	pad(&p.data.Columns[at], n)
}

// pad appends absent values until there are n.
func pad(c *device.Column, n int) {
	missing := n - len(c.Present)
	c.Present = append(c.Present, make([]bool, missing)...)
	if c.Type == device.String {
		c.Text = append(c.Text, make([][]byte, missing)...)
	} else {
		c.Bits = append(c.Bits, make([]uint64, missing)...)
	}
}
