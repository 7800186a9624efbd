package firmwaresim

import (
	"math"
	"strconv"
	"strings"
)

// decimal is the text of a number taken apart: digits × 10^exponent, exactly as written, without trailing zeros.
type decimal struct {
	negative bool
	digits   string // without leading zeros; empty for zero
	exponent int
}

// maxExponent bounds the exponents taken apart; anything beyond is left to floating point.
const maxExponent = 1000

// parseDecimal takes a plain or scientific number apart: 21, -0.5, .5, 4.76e-3. It refuses everything else, hexadecimal
// and digit separators among them.
func parseDecimal(s string) (d decimal, ok bool) {
	switch {
	case strings.HasPrefix(s, "-"):
		d.negative, s = true, s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var err error
		if exponent, err = strconv.Atoi(s[i+1:]); err != nil || exponent > maxExponent || exponent < -maxExponent {
			return decimal{}, false
		}
		mantissa = s[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return decimal{}, false
	}
	exponent -= len(fraction)
	trimmed := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(trimmed)
	d.digits = strings.TrimLeft(trimmed, "0")
	d.exponent = exponent
	if d.digits == "" {
		return decimal{}, true // zero; its sign and exponent say nothing
	}
	return d, true
}

// raw returns the integer r with r × 10^scale equal to d, if an int64 holds it.
func (d decimal) raw(scale int) (int64, bool) {
	if d.digits == "" {
		return 0, true
	}
	zeros := d.exponent - scale
	if zeros < 0 || len(d.digits)+zeros > 19 {
		return 0, false
	}
	text := d.digits + strings.Repeat("0", zeros)
	if d.negative {
		text = "-" + text
	}
	r, err := strconv.ParseInt(text, 10, 64)
	return r, err == nil
}

// parseFloat reads a number as the nearest float64. NaN and infinities are values too, a number too large is not.
func parseFloat(s string) (float64, bool) {
	if strings.ContainsAny(s, "xX_") {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// exactFloat says whether a float64 gives d back when it is written with as many digits as it needs.
func (d decimal) exactFloat() bool {
	if len(d.digits) <= 15 && -290 <= d.exponent && d.exponent <= 290 {
		return true // 15 digits survive any float64 that is neither denormal nor infinite
	}
	text := d.digits + "e" + strconv.Itoa(d.exponent)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return false
	}
	back, ok := parseDecimal(strconv.FormatFloat(f, 'e', -1, 64))
	return ok && back.digits == d.digits && back.exponent == d.exponent
}
