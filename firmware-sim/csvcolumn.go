package firmwaresim

import (
	"fmt"
	"math"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// columnFacts gathers, cell by cell, what a column can be. The channel's type follows from all cells of the file: the
// narrowest one that gives every cell back as it was written.
type columnFacts struct {
	cells     int // not empty
	words     int // true or false
	texts     int // neither number nor word
	firstText int // line of the first of them
	firstWord int // line of the first word
	firstNum  int // line of the first number

	whole    int    // most digits before the decimal point
	places   int    // most digits behind it
	notInt64 bool   // a number without a fraction that no int64 holds
	special  bool   // NaN, an infinity, or beyond what decimal takes
	inexact  int    // line of the first number that not even a float64 gives back
	text     string // the first text, for the error
}

// see takes one cell into account.
func (f *columnFacts) see(cell string, line int) {
	if cell == "" {
		return
	}
	f.cells++
	if _, ok := parseWord(cell); ok {
		f.words++
		setFirst(&f.firstWord, line)
		return
	}
	if _, ok := parseFloat(cell); !ok { // nor has a number beyond its range any other type
		f.texts++
		if f.firstText == 0 {
			f.text = strings.Clone(cell)
		}
		setFirst(&f.firstText, line)
		return
	}
	setFirst(&f.firstNum, line)
	d, ok := parseDecimal(cell)
	if !ok {
		f.special = true
		return
	}
	f.whole = max(f.whole, len(d.digits)+d.exponent)
	f.places = max(f.places, -d.exponent)
	if _, ok := d.raw(0); d.exponent >= 0 && !ok {
		f.notInt64 = true
	}
	if f.inexact == 0 && !d.exactFloat() {
		f.inexact = line
	}
}

func setFirst(line *int, to int) {
	if *line == 0 {
		*line = to
	}
}

// exactDigits is how many decimal digits every int64 has room for.
const exactDigits = 18

// channel decides the type. How it came about goes into the note, for people; skip is set for a column of plain text.
func (f *columnFacts) channel(name string) (ch device.Channel, note string, skip bool, err error) {
	ch.Name = name
	numbers := f.cells - f.words - f.texts
	switch {
	case f.cells == 0:
		return ch, "left out: no values", true, nil
	case f.texts == f.cells:
		return ch, "left out: text", true, nil
	case f.texts > 0:
		return ch, "", false, problem("an absent value is an empty cell",
			"line %d: column %q: %q is neither a number nor true or false", f.firstText, name, shorten(f.text))
	case f.words > 0 && numbers > 0:
		return ch, "", false, fmt.Errorf("line %d: column %q: true or false among numbers (line %d)", f.firstWord, name, f.firstNum)
	case f.words > 0:
		ch.Type = device.Bool
		return ch, "boolean", false, nil
	case !f.special && f.places == 0 && !f.notInt64:
		ch.Type = device.Int
		return ch, "integer", false, nil
	case !f.special && f.places > 0 && f.places <= device.MaxScale && max(f.whole, 0)+f.places <= exactDigits:
		ch.Type, ch.Scale = device.Int, int8(-f.places)
		return ch, fmt.Sprintf("decimal, %d places, exact", f.places), false, nil
	case f.inexact > 0:
		ch.Type = device.Float64
		return ch, fmt.Sprintf("float64, rounded (line %d has more digits)", f.inexact), false, nil
	default:
		ch.Type = device.Float64
		return ch, "float64", false, nil
	}
}

// cellBits returns the value of a cell in the form a column of the channel holds it. The cell has been seen.
func cellBits(ch *device.Channel, cell string) (uint64, error) {
	switch ch.Type {
	case device.Bool:
		if v, ok := parseWord(cell); ok {
			return bit(v), nil
		}
	case device.Int:
		if d, ok := parseDecimal(cell); ok {
			if raw, ok := d.raw(int(ch.Scale)); ok {
				return uint64(raw), nil
			}
		}
	case device.Float64:
		if v, ok := parseFloat(cell); ok {
			return math.Float64bits(v), nil
		}
	}
	return 0, fmt.Errorf("column %q: %q does not fit; the file changed while it was read", ch.Name, shorten(cell))
}

// parseWord reads true and false in any case. 0 and 1 are numbers: they come back as they were written.
func parseWord(cell string) (value, ok bool) {
	switch {
	case strings.EqualFold(cell, "true"):
		return true, true
	case strings.EqualFold(cell, "false"):
		return false, true
	}
	return false, false
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
