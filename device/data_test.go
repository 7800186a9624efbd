package device

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// ignoreMemory leaves out what a Data keeps for reuse.
var ignoreMemory = cmpopts.IgnoreUnexported(Data{})

// testSchema has a channel of every type.
var testSchema = &Schema{Channels: []Channel{
	{ID: 0, Name: "door", Type: Bool},
	{ID: 1, Name: "temperature", Type: Int, Unit: "Cel", Scale: -2},
	{ID: 2, Name: "light", Type: Float32, Unit: "lx"},
	{ID: 3, Name: "ratio", Type: Float64},
	{ID: 9, Name: "note", Type: String},
	{ID: math.MaxUint16, Name: "co2", Type: Int, Unit: "[ppm]"},
}}

func floats(v ...float64) []uint64 {
	out := make([]uint64, len(v))
	for i, f := range v {
		out[i] = math.Float64bits(f)
	}
	return out
}

func ints(v ...int64) []uint64 {
	out := make([]uint64, len(v))
	for i, n := range v {
		out[i] = uint64(n)
	}
	return out
}

func texts(v ...string) [][]byte {
	out := make([][]byte, len(v))
	for i, s := range v {
		out[i] = []byte(s)
	}
	return out
}

// TestDataRoundTrip writes and reads back one message with every type, with and without absent samples.
func TestDataRoundTrip(t *testing.T) {
	some := []bool{true, false, true}
	d := &Data{
		Seq: 300, Clock: ClockBoot, Boot: 1000, Times: []int64{-5_000, 0, 5_000},
		Columns: []Column{
			{ID: 0, Type: Bool, Present: some, Bits: []uint64{1, 0, 1}},
			{ID: 1, Type: Int, Bits: ints(math.MinInt64, math.MaxInt64, -1)},
			{ID: 2, Type: Float32, Present: some, Bits: floats(1.5, 0, math.Inf(-1))},
			{ID: 3, Type: Float64, Bits: floats(0.1, math.NaN(), math.Copysign(0, -1))},
			{ID: 9, Type: String, Present: some, Text: [][]byte{[]byte("é"), nil, {}}},
			{ID: math.MaxUint16, Type: Int, Present: make([]bool, 3), Bits: ints(0, 0, 0)},
		},
	}
	b, err := AppendData([]byte("prefix"), d, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	var got Data
	if err := ParseData(b[len("prefix"):], testSchema, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, &got, ignoreMemory); diff != "" {
		t.Error(diff)
	}
	if got.Readings() != 6+4+1*2 {
		t.Errorf("%d readings", got.Readings())
	}
}
