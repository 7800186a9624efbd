package firmwaresim

import (
	"fmt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// frames reads the table's rows again, in the order of the file, and calls yield with frames of at most samples rows.
// Nothing is sorted, merged or dropped: times repeat and step back where the file does. d is reused between calls.
func (t *Table) frames(samples int, yield func(d *device.Data) error) error {
	d := newFrame(t.Schema, samples)
	for i := range d.Columns {
		d.Columns[i].Present = make([]bool, samples)
	}
	n := 0
	err := t.each(func(record []string, line int) error {
		if err := t.fill(d, n, record); err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
		if n++; n < samples {
			return nil
		}
		n = 0
		defer resize(d, samples) // yield may have made it shorter
		return yield(d)
	})
	if err != nil || n == 0 {
		return err
	}
	resize(d, n)
	return yield(d)
}

// fill makes a record sample i of d.
func (t *Table) fill(d *device.Data, i int, record []string) (err error) {
	if d.Times[i], _, err = t.clock.read(record); err != nil {
		return err
	}
	for c, column := range t.channels {
		cell := record[column]
		d.Columns[c].Present[i] = cell != ""
		d.Columns[c].Bits[i] = 0
		if cell == "" {
			continue
		}
		if err := fill(&d.Columns[c], i, &t.Schema.Channels[c], t.number, cell); err != nil {
			return err
		}
	}
	return nil
}

// samplesPerFrame is how many rows fit a frame whatever their values: a frame must fit device.MaxMessage, and one of a
// quarter of that is long enough to make its head cheap. texts is how many bytes of text a row has at most.
func samplesPerFrame(channels, texts int) int {
	const (
		longest = 10 // bytes of a 64-bit varint; a float64 is shorter, as is the length of a text
		budget  = device.MaxMessage / 4
	)
	n := (budget - 64) / (longest*(channels+1) + 1 + texts)
	return max(1, min(n, device.MaxSamples, device.MaxReadings/channels))
}
