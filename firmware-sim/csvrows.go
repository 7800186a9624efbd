package firmwaresim

import (
	"errors"
	"fmt"
	"io"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// frames reads the table's rows again, in the order of the file, and calls yield with frames of at most samples rows.
// Nothing is sorted, merged or dropped: times repeat and step back where the file does. d is reused between calls.
func (t *Table) frames(samples int, yield func(d *device.Data) error) error {
	rows, header, err := t.open()
	if err != nil {
		return err
	}
	d := newFrame(t.Schema, samples)
	for i := range d.Columns {
		d.Columns[i].Present = make([]bool, samples)
	}
	for done := false; !done; {
		resize(d, samples)
		n := 0
		for n < samples {
			record, line, err := rows.next()
			if errors.Is(err, io.EOF) {
				done = true
				break
			}
			if err != nil {
				return err
			}
			if len(record) != len(header) {
				return fmt.Errorf("line %d: %d cells, the header has %d", line, len(record), len(header))
			}
			if err := t.fill(d, n, record); err != nil {
				return fmt.Errorf("line %d: %w", line, err)
			}
			n++
		}
		if n == 0 {
			return nil
		}
		resize(d, n)
		if err := yield(d); err != nil {
			return err
		}
	}
	return nil
}

// fill makes a record sample i of d.
func (t *Table) fill(d *device.Data, i int, record []string) (err error) {
	trim(record)
	if d.Times[i], err = parseTime(t.Layout, record[t.time]); err != nil {
		return err
	}
	for c, column := range t.channels {
		cell := record[column]
		d.Columns[c].Present[i] = cell != ""
		d.Columns[c].Bits[i] = 0
		if cell == "" {
			continue
		}
		if d.Columns[c].Bits[i], err = cellBits(&t.Schema.Channels[c], cell); err != nil {
			return err
		}
	}
	return nil
}

// samplesPerFrame is how many rows fit a frame whatever their values: a frame must fit device.MaxMessage, and one of a
// quarter of that is long enough to make its head cheap.
func samplesPerFrame(channels int) int {
	const (
		longest = 10 // bytes of a 64-bit varint; a float64 is shorter
		budget  = device.MaxMessage / 4
	)
	n := (budget - 64) / (longest*(channels+1) + 1)
	return max(1, min(n, device.MaxSamples, device.MaxReadings/channels))
}
