package firmwaresim

import (
	"fmt"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// numberForm is how a file writes numbers: the sign before decimals, . or ,; 0 if it has none. The other one, and spaces and
// apostrophes, may stand between thousands.
type numberForm byte

func (f numberForm) String() string {
	switch f {
	case '.':
		return "decimal point"
	case ',':
		return "decimal comma"
	}
	return "no decimals"
}

// parse returns a number in plain form, with a decimal point and nothing between thousands, and the unit behind it.
func (f numberForm) parse(cell string) (number, unit string, ok bool) {
	s, ok := scanNumber(cell)
	if !ok {
		v, ok := parseFloat(cell)
		return cell, "", ok && (math.IsNaN(v) || math.IsInf(v, 0))
	}
	if f == 0 {
		f = '.'
	}
	number, ok = s.plain(f)
	return number, s.unit, ok
}

// scanned is a number taken apart without knowing what its signs mean.
type scanned struct {
	sign     string // - or nothing
	body     string // digits, points and commas
	exponent string // e-3, or nothing
	unit     string
}

const groupSigns = " \u00a0\u2009\u202f'’"

// scanNumber takes the number at the beginning of a cell. What follows must look like a unit.
func scanNumber(cell string) (s scanned, ok bool) {
	rest := cell
	for _, sign := range []string{"-", "+", "−"} {
		if after, found := strings.CutPrefix(rest, sign); found {
			rest = after
			if sign != "+" {
				s.sign = "-"
			}
			break
		}
	}
	var body strings.Builder
	digits := 0
	for len(rest) > 0 {
		r, size := utf8.DecodeRuneInString(rest)
		switch after := rest[size:]; {
		case isDigit(r):
			digits++
			body.WriteRune(r)
		case (r == '.' || r == ',') && (startsWithDigit(after) || r == '.' && digits > 0 && after == ""):
			body.WriteRune(r)
		case digits > 0 && strings.ContainsRune(groupSigns, r) && len(after) >= 3 && allDigits(after[:3]) && !startsWithDigit(after[3:]):
			// between thousands
		default:
			size = 0
		}
		if size == 0 {
			break
		}
		rest = rest[size:]
	}
	if digits == 0 {
		return s, false
	}
	s.body = body.String()
	if len(rest) > 1 && (rest[0] == 'e' || rest[0] == 'E') {
		end := 1
		if rest[1] == '-' || rest[1] == '+' {
			end = 2
		}
		first := end
		for end < len(rest) && isDigit(rune(rest[end])) {
			end++
		}
		if end > first {
			s.exponent, rest = rest[:end], rest[end:]
		}
	}
	s.unit = strings.TrimSpace(rest)
	return s, isUnit(s.unit) && !(s.body == "0" && strings.HasPrefix(strings.ToLower(rest), "x"))
}

// plain returns the number if decimal is the sign before decimals.
func (s *scanned) plain(decimal numberForm) (string, bool) {
	other := "."
	if decimal == '.' {
		other = ","
	}
	whole, fraction, decimals := strings.Cut(s.body, string(rune(decimal)))
	if !allDigits(fraction) {
		return "", false
	}
	if groups := strings.Split(whole, other); len(groups) > 1 {
		for i, g := range groups {
			if i > 0 && len(g) != 3 || i == 0 && (len(g) < 1 || len(g) > 3 || g[0] == '0') {
				return "", false
			}
		}
		whole = strings.Join(groups, "")
	}
	if decimals {
		whole += "."
	}
	return s.sign + whole + fraction + s.exponent, true
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

func allDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func startsWithDigit(s string) bool { return s != "" && isDigit(rune(s[0])) }

// isUnit says whether what stands behind a number may be its unit: °C, %, kWh, m³/h, m2, l/min.
func isUnit(s string) bool {
	var before rune
	for i, r := range s {
		switch {
		case i == 0 && !unicode.IsLetter(r) && !strings.ContainsRune("%‰°$€£¥′″'\"", r):
			return false
		case isDigit(r) && (!unicode.IsLetter(before) || r != '2' && r != '3'):
			return false
		case !unicode.IsPrint(r) || strings.ContainsRune(":;,|_=@", r):
			return false
		}
		before = r
	}
	return len(s) <= device.MaxUnit
}

// ucum has the units that people write in another way than schemas do.
var ucum = map[string]string{"°C": "Cel", "℃": "Cel", "°F": "[degF]", "℉": "[degF]", "°": "deg"}

// numberEvidence gathers from all cells of a file which sign stands before decimals.
type numberEvidence struct {
	point, comma, either cellAt
}

type cellAt struct {
	line int
	text string
}

func (c *cellAt) note(cell string, line int) {
	if c.line == 0 {
		*c = cellAt{line, strings.Clone(cell)}
	}
}

// see takes a cell into account.
func (e *numberEvidence) see(cell string, line int) {
	s, ok := scanNumber(cell)
	if !ok || !strings.ContainsAny(s.body, ".,") {
		return
	}
	_, point := s.plain('.')
	_, comma := s.plain(',')
	switch {
	case point && comma && s.exponent == "": // one sign, with three digits behind it
		e.either.note(cell, line)
	case point:
		e.point.note(cell, line)
	case comma:
		e.comma.note(cell, line)
	}
}

// decide returns what the file says, or what was declared.
func (e *numberEvidence) decide(declared string) (numberForm, error) {
	switch {
	case declared == "." || declared == ",":
		return numberForm(declared[0]), nil
	case declared != "":
		return 0, problem(`--decimal . or --decimal ,`, "--decimal %q is neither a point nor a comma", declared)
	case e.point.line > 0 && e.comma.line > 0:
		return 0, problem("--decimal decides; --text COLUMN plays a column as texts, --skip COLUMN leaves it out",
			"line %d: %q has a decimal point, line %d: %q a decimal comma", e.point.line, shorten(e.point.text), e.comma.line, shorten(e.comma.text))
	case e.point.line > 0:
		return '.', nil
	case e.comma.line > 0:
		return ',', nil
	case e.either.line > 0:
		return 0, problem("--decimal . or --decimal , decides",
			"line %d: is %q a number with decimals, or are those thousands?", e.either.line, shorten(e.either.text))
	}
	return 0, nil
}

// shorten makes a cell fit an error.
func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + fmt.Sprintf("… (%d bytes)", len(s))
	}
	return s
}
