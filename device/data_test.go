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

// TestParseDataLimits: what is too long for a vector.
func TestParseDataLimits(t *testing.T) {
	bools := &Schema{}
	d := &Data{Seq: 9, Times: make([]int64, MaxSamples)}
	for id := range uint16(MaxReadings / MaxSamples) {
		bools.Channels = append(bools.Channels, Channel{ID: id, Name: string(rune('a' + id)), Type: Bool})
		d.Columns = append(d.Columns, Column{ID: id, Type: Bool, Bits: make([]uint64, MaxSamples)})
	}
	message := mustAppendData(t, d, bools)
	var got Data
	if err := ParseData(message, bools, &got); err != nil || got.Readings() != MaxReadings {
		t.Errorf("MaxReadings values: %d, %v", got.Readings(), err)
	}
	// One column more, of another 1024 bools.
	id := uint16(MaxReadings / MaxSamples)
	bools.Channels = append(bools.Channels, Channel{ID: id, Name: "last", Type: Bool})
	column := append([]byte{0x80, 0x01, 0x80, 0x01}, make([]byte, MaxSamples/8)...)
	checkRefused(t, ParseData(append(message, column...), bools, &got), 9, RejectLimit)

	long := append(mustAppendData(t, sizedFrame(1), climate), make([]byte, MaxMessage)...)
	checkRefused(t, ParseData(long, climate, &got), 100_000, RejectLimit)
}

// TestLongestMessage: one of exactly MaxMessage bytes, with strings of MaxString bytes, is written and read; one byte more
// is not.
func TestLongestMessage(t *testing.T) {
	d := &Data{Seq: 5}
	longMessage(d)
	d.Columns[0].Text[0], d.Columns[0].Text[1] = nil, make([]byte, 200)
	short := MaxMessage - len(mustAppendData(t, d, testSchema))
	d.Columns[0].Text[1] = make([]byte, 200+short)
	message := mustAppendData(t, d, testSchema)
	var got Data
	if err := ParseData(message, testSchema, &got); err != nil || len(message) != MaxMessage {
		t.Errorf("%d bytes: %v", len(message), err)
	}
	d.Columns[0].Text[1] = append(d.Columns[0].Text[1], 0)
	_, err := AppendData(nil, d, testSchema)
	checkRefused(t, err, 5, RejectLimit)
	checkRefused(t, ParseData(append(message, 0), testSchema, &got), 5, RejectLimit)
}

func checkRefused(t *testing.T, err error, seq uint64, code RejectCode) {
	t.Helper()
	if refused, ok := err.(*DataError); !ok || refused.Seq != seq || refused.Code != code {
		t.Errorf("%v, want frame %d refused with %v", err, seq, code)
	}
}

// TestAppendDataRefuses: each change makes the frame one that cannot be sent, and dst comes back as it was.
func TestAppendDataRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		code   RejectCode
		change func(d *Data)
	}{
		"seq 0":                     {RejectMalformed, func(d *Data) { d.Seq = 0 }},
		"seq above MaxSeq":          {RejectMalformed, func(d *Data) { d.Seq = MaxSeq + 1 }},
		"clock":                     {RejectMalformed, func(d *Data) { d.Clock = 2 }},
		"no sample":                 {RejectMalformed, func(d *Data) { d.Times = nil }},
		"no column":                 {RejectMalformed, func(d *Data) { d.Columns = nil }},
		"samples":                   {RejectLimit, func(d *Data) { d.Times = make([]int64, MaxSamples+1) }},
		"values":                    {RejectLimit, func(d *Data) { d.Times = make([]int64, MaxSamples); d.Columns = make([]Column, 9) }},
		"times far apart":           {RejectBadValue, func(d *Data) { d.Times = []int64{math.MinInt64, 1, 2} }},
		"times far apart both ways": {RejectBadValue, func(d *Data) { d.Times = []int64{-1 << 62, 1<<62 - 1, -1 << 62} }},
		"columns descend":           {RejectMalformed, func(d *Data) { d.Columns[0], d.Columns[1] = d.Columns[1], d.Columns[0] }},
		"column twice":              {RejectMalformed, func(d *Data) { d.Columns[1] = d.Columns[0] }},
		"unknown channel":           {RejectUnknownChannel, func(d *Data) { d.Columns[4].ID = 77 }},
		"type":                      {RejectBadValue, func(d *Data) { d.Columns[2].Type = Float64 }},
		"too few values":            {RejectBadValue, func(d *Data) { d.Columns[2].Bits = d.Columns[2].Bits[:2] }},
		"too few texts":             {RejectBadValue, func(d *Data) { d.Columns[4].Text = nil }},
		"presence":                  {RejectBadValue, func(d *Data) { d.Columns[2].Present = []bool{true} }},
		"bool":                      {RejectBadValue, func(d *Data) { d.Columns[0].Bits[1] = 2 }},
		"float32":                   {RejectBadValue, func(d *Data) { d.Columns[2].Bits = floats(0, 1e300, 0) }},
		"string":                    {RejectLimit, func(d *Data) { d.Columns[4].Text[1] = make([]byte, MaxString+1) }},
		"string not UTF-8":          {RejectBadValue, func(d *Data) { d.Columns[4].Text[1] = []byte{0xff} }},
		"message":                   {RejectLimit, func(d *Data) { longMessage(d) }},
	} {
		d := &Data{Seq: 5, Times: []int64{1, 2, 3}, Columns: []Column{
			{ID: 0, Type: Bool, Bits: []uint64{0, 1, 0}},
			{ID: 1, Type: Int, Bits: ints(1, 2, 3)},
			{ID: 2, Type: Float32, Bits: floats(1, 2, 3)},
			{ID: 3, Type: Float64, Bits: floats(1, 2, 3)},
			{ID: 9, Type: String, Text: texts("a", "b", "c")},
		}}
		if _, err := AppendData(nil, d, testSchema); err != nil {
			t.Fatal(err)
		}
		test.change(d)
		got, err := AppendData([]byte("prefix"), d, testSchema)
		if refused, ok := err.(*DataError); !ok || refused.Code != test.code || refused.Seq != d.Seq {
			t.Errorf("%s: %v, want %v", name, err, test.code)
		}
		if string(got) != "prefix" {
			t.Errorf("%s: dst became %q", name, got)
		}
	}
	_, err := AppendData(nil, sizedFrame(1), nil)
	checkRefused(t, err, 100_000, RejectNoSchema)
}

// longMessage makes a frame whose parts are all within the limits, but not the whole.
func longMessage(d *Data) {
	const samples = MaxMessage/MaxString + 1
	text := make([]byte, MaxString)
	*d = Data{Seq: d.Seq, Times: make([]int64, samples), Columns: []Column{{ID: 9, Type: String, Text: make([][]byte, samples)}}}
	for i := range d.Columns[0].Text {
		d.Columns[0].Text[i] = text
	}
}

// TestFloat32IsRounded: a float64 that no float32 equals goes out as the nearest.
func TestFloat32IsRounded(t *testing.T) {
	d := &Data{Seq: 1, Times: []int64{0}, Columns: []Column{{ID: 2, Type: Float32, Bits: floats(21.34)}}}
	var got Data
	if err := ParseData(mustAppendData(t, d, testSchema), testSchema, &got); err != nil {
		t.Fatal(err)
	}
	if want := float64(float32(21.34)); got.Columns[0].Bits[0] != math.Float64bits(want) {
		t.Errorf("%v, want %v", math.Float64frombits(got.Columns[0].Bits[0]), want)
	}
}

// TestParsedColumnsStandAlone: appending to one column's slices does not reach into the next.
func TestParsedColumnsStandAlone(t *testing.T) {
	var d Data
	message := mustAppendData(t, sizedFrame(2), climate)
	for range 2 { // the second time, there is memory for all columns in one piece
		if err := ParseData(message, climate, &d); err != nil {
			t.Fatal(err)
		}
	}
	second := d.Columns[1].Bits[0]
	d.Columns[0].Bits = append(d.Columns[0].Bits, 999)
	if d.Columns[1].Bits[0] != second {
		t.Error("the second column changed")
	}
}

// TestParseDataLetsGo: a Data that is kept does not keep the message that it was read from before.
func TestParseDataLetsGo(t *testing.T) {
	d := &Data{Seq: 1, Times: []int64{0}, Columns: []Column{{ID: 9, Type: String, Text: texts("kept")}}}
	var got Data
	number := &Data{Seq: 2, Times: []int64{0}, Columns: []Column{{ID: 1, Type: Int, Bits: ints(1)}}}
	for _, next := range []*Data{d, number} {
		if err := ParseData(mustAppendData(t, next, testSchema), testSchema, &got); err != nil {
			t.Fatal(err)
		}
	}
	if kept := got.text[:1]; kept[0] != nil {
		t.Errorf("it still has %q", kept)
	}
}
