package firmwaresim

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"unicode"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// columnFacts gathers, cell by cell, what a column can be. The channel's type follows from all cells of the file: the
// narrowest one that gives every cell back as it was written.
type columnFacts struct {
	cells   int // not empty
	words   int // true or false
	texts   int // neither number nor word
	text    cellAt
	digits  cellAt // the first text that may be meant as a number
	word    cellAt
	number  cellAt
	unit    string
	other   cellAt // the first number with another unit
	longest int    // bytes of a cell
	long    cellAt // the first cell that no string value holds

	whole    int  // most digits before the decimal point
	places   int  // most digits behind it
	notInt64 bool // a number without a fraction that no int64 holds
	special  bool // NaN, an infinity, or beyond what decimal takes
	inexact  int  // line of the first number that not even a float64 gives back
}

// see takes one cell into account.
func (f *columnFacts) see(form numberForm, cell string, line int) {
	if cell == "" {
		return
	}
	f.cells++
	f.longest = max(f.longest, len(cell))
	if len(cell) > device.MaxString {
		f.long.note(cell, line)
	}
	if _, ok := parseWord(cell); ok {
		f.words++
		f.word.note(cell, line)
		return
	}
	plain, unit, ok := form.parse(cell)
	if ok {
		_, ok = parseFloat(plain) // nor has a number beyond its range any other type
	}
	if !ok {
		f.texts++
		f.text.note(cell, line)
		// Whether (5), <0.1 or 10.0.0.1 is a number is not for the program to say.
		if i := strings.IndexFunc(cell, isDigit); i >= 0 && !strings.ContainsFunc(cell[:i], unicode.IsLetter) {
			f.digits.note(cell, line)
		}
		return
	}
	if f.number.note(cell, line); f.number.line == line {
		f.unit = strings.Clone(unit)
	} else if unit != f.unit {
		f.other.note(cell, line)
	}
	d, ok := parseDecimal(plain)
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

// exactDigits is how many decimal digits every int64 has room for.
const exactDigits = 18

// asideHint is what can be done about a column that is no channel of numbers.
const asideHint = "--text COLUMN plays the column as texts, --skip COLUMN leaves it out"

// channel decides the type, nil for a column without values. How it came about goes into the note, for people. asText says
// that the cells are texts.
func (f *columnFacts) channel(name string, asText bool) (ch *device.Channel, note string, err error) {
	ch = &device.Channel{Name: name, Type: device.Int}
	numbers := f.cells - f.words - f.texts
	switch {
	case f.cells == 0:
		return nil, "no values, so there is nothing to play", nil
	case asText || f.texts == f.cells && f.digits.line == 0:
		if f.long.line > 0 {
			return nil, "", problem("--skip COLUMN leaves the column out", "line %d: column %q: a text of %d bytes, at most %d can be sent",
				f.long.line, name, len(f.long.text), device.MaxString)
		}
		ch.Type = device.String
		return ch, "text", nil
	case f.texts == f.cells:
		return nil, "", problem(asideHint, "line %d: column %q: %q may be meant as a number and isn't one", f.digits.line, name, shorten(f.digits.text))
	case f.texts > 0:
		return nil, "", problem(fmt.Sprintf("an absent value is an empty cell; --missing %q says that this stands for one; %s", shorten(f.text.text), asideHint),
			"line %d: column %q: %q is neither a number nor true or false", f.text.line, name, shorten(f.text.text))
	case f.words > 0 && numbers > 0:
		return nil, "", problem(asideHint, "line %d: column %q: true or false among numbers (line %d)", f.word.line, name, f.number.line)
	case f.words > 0:
		ch.Type = device.Bool
		return ch, "boolean", nil
	case f.other.line > 0:
		return nil, "", problem(asideHint, "line %d: column %q: %q has another unit than %q in line %d",
			f.other.line, name, shorten(f.other.text), shorten(f.number.text), f.number.line)
	case !f.special && f.places == 0 && !f.notInt64:
		note = "integer"
	case !f.special && f.places > 0 && f.places <= device.MaxScale && max(f.whole, 0)+f.places <= exactDigits:
		ch.Scale = int8(-f.places)
		note = "decimal, 1 place, exact"
		if f.places > 1 {
			note = fmt.Sprintf("decimal, %d places, exact", f.places)
		}
	case f.inexact > 0:
		ch.Type = device.Float64
		note = fmt.Sprintf("float64, rounded (line %d has more digits)", f.inexact)
	default:
		ch.Type = device.Float64
		note = "float64"
	}
	if f.unit != "" {
		ch.Unit = cmp.Or(ucum[f.unit], f.unit)
		note += ", in " + text.Printable(f.unit)
	}
	return ch, note, nil
}

// fill makes a cell value i of a column. The cell has been seen.
func fill(c *device.Column, i int, ch *device.Channel, form numberForm, cell string) error {
	if ch.Type == device.String {
		c.Text[i] = append(c.Text[i][:0], cell...)
		return nil
	}
	number, _, ok := form.parse(cell)
	switch ch.Type {
	case device.Bool:
		if v, ok := parseWord(cell); ok {
			c.Bits[i] = bit(v)
			return nil
		}
	case device.Int:
		if d, isDecimal := parseDecimal(number); ok && isDecimal {
			if raw, ok := d.raw(int(ch.Scale)); ok {
				c.Bits[i] = uint64(raw)
				return nil
			}
		}
	case device.Float64:
		if v, isFloat := parseFloat(number); ok && isFloat {
			c.Bits[i] = math.Float64bits(v)
			return nil
		}
	}
	return fmt.Errorf("column %q: %q does not fit; the file changed while it was read", ch.Name, shorten(cell))
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
