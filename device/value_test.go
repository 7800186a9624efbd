package device

import (
	"cmp"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

func TestValueText(t *testing.T) {
	float32Bits := func(f float32) uint64 { return math.Float64bits(float64(f)) }
	for _, test := range []struct {
		v    Value
		want string
	}{
		{Value{Type: Bool}, "false"},
		{Value{Type: Bool, Bits: 1}, "true"},
		{intValue(2134, -2), "21.34"},
		{intValue(2130, -2), "21.3"},
		{intValue(-5, -2), "-0.05"},
		{intValue(0, -2), "0"},
		{intValue(-12, -1), "-1.2"},
		{intValue(-123456, -3), "-123.456"},
		{intValue(7, 0), "7"},
		{intValue(-7, 3), "-7000"},
		{intValue(0, 3), "0"},
		{intValue(math.MinInt64, 0), "-9223372036854775808"},
		{intValue(math.MinInt64, -18), "-9.223372036854775808"},
		{intValue(math.MaxInt64, 18), "9223372036854775807000000000000000000"},
		{intValue(1, -18), "0.000000000000000001"},
		{Value{Type: Float32, Bits: float32Bits(21.34)}, "21.34"},
		{Value{Type: Float32, Bits: float32Bits(16777216)}, "16777216"},
		{Value{Type: Float64, Bits: math.Float64bits(0.1)}, "0.1"},
		{Value{Type: Float64, Bits: float32Bits(0.1)}, "0.10000000149011612"},
		{Value{Type: Float64, Bits: math.Float64bits(1e21)}, "1e+21"},
		{Value{Type: Float64, Bits: math.Float64bits(123456789012)}, "123456789012"},
		{Value{Type: Float64, Bits: math.Float64bits(1e-7)}, "1e-07"},
		{Value{Type: Float64, Bits: math.Float64bits(math.Copysign(0, -1))}, "-0"},
		{Value{Type: Float64, Bits: math.Float64bits(math.NaN())}, "NaN"},
		{Value{Type: Float32, Bits: math.Float64bits(math.Inf(-1))}, "-Inf"},
		{Value{Type: String, Text: "a,b"}, "a,b"},
	} {
		if got := string(test.v.AppendText([]byte("x="))); got != "x="+test.want {
			t.Errorf("%+v: %q, want %q", test.v, got, "x="+test.want)
		}
		asJSON := map[string]string{"NaN": "null", "-Inf": "null", "a,b": `"a,b"`}[test.want]
		if got := test.v.AppendJSON(nil); string(got) != cmp.Or(asJSON, test.want) || !json.Valid(got) {
			t.Errorf("%+v: %s", test.v, got)
		}
	}
}

func intValue(raw int64, scale int8) Value {
	return Value{Type: Int, Bits: uint64(raw), Scale: scale}
}

func TestValueFloat(t *testing.T) {
	for _, test := range []struct {
		v    Value
		want float64
	}{
		{Value{Type: Bool}, 0},
		{Value{Type: Bool, Bits: 1}, 1},
		{intValue(2134, -2), 21.34},
		{intValue(3, -1), 0.3}, // 3 × 0.1 is not
		{intValue(-7, 3), -7000},
		{intValue(5258986265376043509, -3), 5258986265376044}, // rounding to a float64 first, and then again, gives …043
		{Value{Type: Float32, Bits: math.Float64bits(1.5)}, 1.5},
		{Value{Type: Float64, Bits: math.Float64bits(math.Inf(1))}, math.Inf(1)},
	} {
		if got, ok := test.v.Float(); got != test.want || !ok {
			t.Errorf("%+v: %v, %v, want %v", test.v, got, ok, test.want)
		}
	}
	if _, ok := (Value{Type: String, Text: "1"}).Float(); ok {
		t.Error("a string is a number")
	}
}

// TestScaledIsCorrectlyRounded compares with exact arithmetic, above 2⁵³ too, and with what the text reads back as.
func TestScaledIsCorrectlyRounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.Int64().Draw(t, "raw")
		scale := rapid.Int8Range(-MaxScale, MaxScale).Draw(t, "scale")
		v := intValue(raw, scale)
		got, _ := v.Float()

		exact := new(big.Rat).SetInt64(raw)
		power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil))
		if scale < 0 {
			exact.Quo(exact, power)
		} else {
			exact.Mul(exact, power)
		}
		if want, _ := exact.Float64(); got != want {
			t.Fatalf("%d × 10^%d is %v, want %v", raw, scale, got, want)
		}
		text := string(v.AppendText(nil))
		if read, ok := new(big.Rat).SetString(text); !ok || read.Cmp(exact) != 0 {
			t.Fatalf("%d × 10^%d is written as %s", raw, scale, text)
		}
		if read, err := strconv.ParseFloat(text, 64); err != nil || read != got {
			t.Fatalf("%s reads as %v, not %v", text, read, got)
		}
	})
}

func TestColumnValue(t *testing.T) {
	number := Column{ID: 1, Type: Int, Present: []bool{true, false}, Bits: []uint64{7, 0}}
	word := Column{ID: 2, Type: String, Text: [][]byte{[]byte("on"), {}}}
	scaledBy := &Channel{Scale: -1}
	if v, ok := number.Value(0, scaledBy); v != intValue(7, -1) || !ok {
		t.Errorf("%+v, %v", v, ok)
	}
	if v, ok := number.Value(1, scaledBy); ok {
		t.Errorf("the absent sample is %+v", v)
	}
	if v, ok := word.Value(0, &Channel{}); v != (Value{Type: String, Text: "on"}) || !ok {
		t.Errorf("%+v, %v", v, ok)
	}
	if v, ok := word.Value(1, &Channel{}); v != (Value{Type: String}) || !ok {
		t.Errorf("the empty string is %+v, %v", v, ok)
	}
}
