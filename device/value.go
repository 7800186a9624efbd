package device

import (
	"encoding/json"
	"math"
	"strconv"
)

// Value is the value of one reading.
type Value struct {
	Type  ValueType
	Scale int8   // Int only: value = raw × 10^Scale
	Bits  uint64 // Bool: 0 or 1; Int: the int64 raw; Float32 and Float64: math.Float64bits
	Text  string // String only
}

// Value returns the value of sample i, and false if the column has none there. ch is the column's channel.
func (c *Column) Value(i int, ch *Channel) (Value, bool) {
	if c.Present != nil && !c.Present[i] {
		return Value{}, false
	}
	if c.Type == String {
		return Value{Type: String, Text: string(c.Text[i])}, true
	}
	return Value{Type: c.Type, Scale: ch.Scale, Bits: c.Bits[i]}, true
}

// maxExact is the highest integer up to which every integer is a float64.
const maxExact = 1 << 53

// powersOf10 holds 10^0 to 10^MaxScale, all of them exact.
var powersOf10 = [MaxScale + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// Float returns the value as a number: false is 0, true is 1, an Int is scaled and correctly rounded to the nearest float64.
// A String has none.
func (v Value) Float() (f float64, ok bool) {
	switch v.Type {
	case Bool:
		return float64(v.Bits), true
	case Int:
		return scaled(int64(v.Bits), v.Scale), true
	case Float32, Float64:
		return math.Float64frombits(v.Bits), true
	default:
		return 0, false
	}
}

// scaled is raw × 10^scale, correctly rounded.
func scaled(raw int64, scale int8) float64 {
	switch {
	case scale == 0:
		return float64(raw)
	case -maxExact <= raw && raw <= maxExact && -MaxScale <= scale && scale <= MaxScale:
		// Both operands are exact, so the one operation rounds once. Multiplying by 0.01 would not.
		if scale < 0 {
			return float64(raw) / powersOf10[-int(scale)]
		}
		return float64(raw) * powersOf10[scale]
	default:
		var b [maxDecimal]byte
		f, _ := strconv.ParseFloat(string(appendDecimal(b[:0], raw, scale)), 64)
		return f
	}
}

// AppendText appends the value as text that stands for exactly this value: an Int as a decimal number without needless
// zeros ("21.3" for 2130 × 10^−2, as the floats have it), a Float32 or Float64 in the shortest form that reads back as the same 32-bit or 64-bit float,
// a Bool as true or false, a String as it is.
func (v Value) AppendText(dst []byte) []byte {
	switch v.Type {
	case Bool:
		return strconv.AppendBool(dst, v.Bits != 0)
	case Int:
		return appendDecimal(dst, int64(v.Bits), v.Scale)
	case Float32:
		return appendFloat(dst, math.Float64frombits(v.Bits), 32)
	case Float64:
		return appendFloat(dst, math.Float64frombits(v.Bits), 64)
	default:
		return append(dst, v.Text...)
	}
}

// AppendJSON appends the value as JSON (RFC 8259), a number with all its digits, however many a reader can keep: an Int may exceed
// what is exact in a float64. NaN and infinities, for which JSON has no number, are null.
func (v Value) AppendJSON(dst []byte) []byte {
	if v.Type == String {
		text, _ := json.Marshal(v.Text) // a string always has a JSON form
		return append(dst, text...)
	}
	if f, _ := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	return v.AppendText(dst)
}

// appendFloat writes plain digits for magnitudes people read as such, and an exponent beyond (as JSON encoders do).
func appendFloat(dst []byte, f float64, bits int) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, f, format, -1, bits)
}

// maxDecimal is the longest text of appendDecimal for a valid scale: sign, 19 digits and MaxScale zeros.
const maxDecimal = 1 + 19 + MaxScale

// appendDecimal appends raw × 10^scale, without zeros at the end of its decimal places.
func appendDecimal(dst []byte, raw int64, scale int8) []byte {
	magnitude := uint64(raw)
	if raw < 0 {
		magnitude = -magnitude
		dst = append(dst, '-')
	}
	var buf [20]byte
	digits := strconv.AppendUint(buf[:0], magnitude, 10)
	for ; scale < 0 && digits[len(digits)-1] == '0'; scale++ {
		if digits = digits[:len(digits)-1]; len(digits) == 0 {
			return append(dst, '0')
		}
	}
	if scale >= 0 {
		dst = append(dst, digits...)
		for ; scale > 0 && raw != 0; scale-- {
			dst = append(dst, '0')
		}
		return dst
	}
	whole := len(digits) + int(scale) // digits before the point
	if whole <= 0 {
		dst = append(dst, '0', '.')
		for ; whole < 0; whole++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[:whole]...)
	dst = append(dst, '.')
	return append(dst, digits[whole:]...)
}
