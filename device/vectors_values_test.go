package device

import "math"

// The values behind the valid lines of testdata/vectors.txt, by name.

const day = int64(1767225600_000_000) // 2026-01-01T00:00:00Z in µs

func ptr(f float64) *float64 { return &f }

// climate is the schema of the worked example.
var climate = &Schema{Channels: []Channel{
	{ID: 0, Name: "temperature", Type: Int, Unit: "Cel", Scale: -2, Interval: 60_000},
	{ID: 1, Name: "humidity", Type: Int, Unit: "%", Scale: -1, Interval: 60_000},
	{ID: 2, Name: "co2", Type: Int, Unit: "[ppm]", Interval: 60_000},
}}

// everything is a schema that uses every key.
var everything = &Schema{
	Channels: []Channel{
		{ID: 0, Name: "door", Type: Bool, Writable: true},
		{ID: 1, Name: "energy", Type: Int, Unit: "W.h", Scale: 1},
		{ID: 7, Name: "light", Type: Float32, Unit: "lx", Interval: 1000},
		{ID: 8, Name: "latitude", Type: Float64, Unit: "deg"},
		{ID: 300, Name: "état", Type: String},
		{ID: math.MaxUint16, Name: "raw", Type: Int},
	},
	Commands: []CommandSpec{
		{Name: "identify", Idempotent: true},
		{Name: "set_fan", Confirm: ConfirmAsk, Supersedes: true, Idempotent: true, Args: []Arg{
			{Name: "speed", Type: Int, Unit: "%", Min: ptr(0), Max: ptr(100)},
			{Name: "ramp", Type: Float32, Unit: "s", Min: ptr(0.1), Optional: true},
		}},
		{Name: "erase", Confirm: ConfirmTyped, Args: []Arg{{Name: "reason", Type: String}}},
	},
}

// boxed is the schema of no channel at all, of a device that only takes commands.
var boxed = &Schema{Channels: []Channel{}, Commands: []CommandSpec{{Name: "reset"}}}

// nine has a channel more than fit a frame of MaxSamples samples.
var nine = &Schema{Channels: []Channel{
	{ID: 0, Name: "a", Type: Bool}, {ID: 1, Name: "b", Type: Bool}, {ID: 2, Name: "c", Type: Bool},
	{ID: 3, Name: "d", Type: Bool}, {ID: 4, Name: "e", Type: Bool}, {ID: 5, Name: "f", Type: Bool},
	{ID: 6, Name: "g", Type: Bool}, {ID: 7, Name: "h", Type: Bool}, {ID: 8, Name: "i", Type: Bool},
}}

var commandID = CommandID{0x01, 0x93, 0xf0, 0x5e, 0x7a, 0x10, 0x7c, 0x2b, 0x9d, 0x41, 0x3e, 0x88, 0x51, 0x0c, 0x6f, 0xaa}

func vectorMessages() map[string]Message {
	hash := HashSchema(AppendControl(nil, climate))
	return map[string]Message{
		"hello": &Hello{
			Stream: 0x1122334455667788, Now: day + 60_000_000, SchemaHash: hash, Oldest: 1, Next: 2,
			Firmware: "1.4.2", Model: "climate-3",
		},
		"hello-least":     &Hello{Stream: 1, SchemaHash: hash, Oldest: 1, Next: 1},
		"hello-now-least": &Hello{Stream: 1, Now: math.MinInt64, SchemaHash: hash, Oldest: 1, Next: 1},
		"hello-boot": &Hello{
			Stream: math.MaxUint64, Boot: 17, Now: 5_250_000, Clock: ClockBoot, SchemaHash: hash, Oldest: 990, Next: MaxSeq,
			AckDelay: 30_000, Firmware: "0.9-β", Model: "logger",
		},
		"schema-climate":    climate,
		"schema-everything": everything,
		"schema-commands":   boxed,
		"schema-nine":       nine,
		"lost":              &Lost{First: 10, Last: 19, Reason: LostOverwritten, Text: "flash full since 02:10"},
		"lost-one":          &Lost{First: MaxSeq, Last: MaxSeq, Reason: LostUnsent},
		"result":            &Result{ID: commandID, Status: ResultSucceeded, Text: "fan at 40 %", Values: map[string]any{"speed": int64(40), "rpm": 812.5, "ok": true, "mode": "auto"}},
		"result-failed":     &Result{ID: commandID, Status: ResultFailed, Text: "motor stalled"},
		"result-rejected":   &Result{ID: commandID, Status: ResultRejected, Text: "no such command"},
		"result-expired":    &Result{ID: commandID, Status: ResultExpired},
		"welcome": &Welcome{
			Device: "greenhouse-7", Now: day + 60_250_000, Received: Ranges{}, NeedSchema: true,
			WindowFrames: 256, WindowBytes: 65_536, Idle: 60_000, FrameRate: 500,
		},
		"welcome-resumed": &Welcome{
			Device: "greenhouse-7", Now: day + 60_250_000, Received: Ranges{{1, 900}, {905, 905}, {1000, 70_000}},
			WindowFrames: 64, WindowBytes: 16_384, AckDelay: 5_000, Idle: 600_000, FrameRate: 50,
		},
		"welcome-need-stream": &Welcome{
			Device: "greenhouse-7", Now: day + 60_250_000, Received: Ranges{{1, 900}},
			WindowFrames: 256, WindowBytes: 65_536, Idle: 60_000, FrameRate: 500, NeedStream: true,
		},
		"ack":            &Ack{Ranges: Ranges{{1, 1}}},
		"ack-ranges":     &Ack{Ranges: Ranges{{1, 23}, {25, 255}, {256, 65_535}, {65_537, 65_536 << 16}, {MaxSeq, MaxSeq}}},
		"ack-256-ranges": &Ack{Ranges: separate(MaxRanges)},
		"ack-empty":      &Ack{Ranges: Ranges{}},
		"reject":         &Reject{Seq: 12, Code: RejectUnknownChannel, Text: "the schema has no channel 5"},
		"reject-unread":  &Reject{Code: RejectMalformed, Text: "no sequence number"},
		"resend":         &Resend{Ranges: Ranges{{24, 24}, {901, 904}}},
		"command":        &Command{ID: commandID, Name: "set_fan", Args: map[string]any{"speed": int64(40), "ramp": 2.5}, Deadline: day + 90_000_000, TTL: 30_000},
		"command-set": &Command{
			ID:   CommandID{0x01, 0x93, 0xf0, 0x5e, 0x7a, 0x10, 0x7c, 0x2b, 0x9d, 0x41, 0x3e, 0x88, 0x51, 0x0c, 0x6f, 0xab},
			Name: CommandSet, Args: map[string]any{"setpoint": 21.5}, Deadline: day + 90_000_000, TTL: 30_000,
		},
		"command-no-args": &Command{ID: commandID, Name: "identify", Deadline: day + 90_000_000, TTL: 29_500},
		"command-args": &Command{ID: commandID, Name: "try", Deadline: day + 90_000_000, TTL: 1, Args: map[string]any{
			"no": false, "yes": true, "least": int64(math.MinInt64), "most": int64(math.MaxInt64), "half": 0.5, "single": float64(float32(0.1)), "double": 0.1, "text": "wärmer",
		}},
		"goaway":          &GoAway{Reason: GoAwayShutdown, MinMS: 1_000, MaxMS: 10_000, Text: "update"},
		"goaway-overload": &GoAway{Reason: GoAwayOverload, MinMS: 30_000, MaxMS: 120_000},
	}
}

// separate are n ranges of one number.
func separate(n int) Ranges {
	ranges := make(Ranges, n)
	for i := range ranges {
		ranges[i] = Range{uint64(2*i + 1), uint64(2*i + 1)}
	}
	return ranges
}

// full is a column of MaxSamples values.
func full(id uint16) Column {
	c := Column{ID: id, Type: Bool, Bits: make([]uint64, MaxSamples)}
	for i := range c.Bits {
		c.Bits[i] = uint64(id % 2)
	}
	return c
}

// vectorFrames are the DATA messages; the part of the name behind the @ is the schema's vector.
func vectorFrames() map[string]*Data {
	some := []bool{true, false, true}
	everyMS := make([]int64, 9)
	for i := range everyMS {
		everyMS[i] = day + int64(i)*1_000
	}
	atOnce := make([]int64, MaxSamples)
	for i := range atOnce {
		atOnce[i] = day
	}
	return map[string]*Data{
		"data@schema-climate": {
			Seq: 1, Times: []int64{day, day + 60_000_000},
			Columns: []Column{
				{ID: 0, Type: Int, Bits: ints(2134, 2136)},
				{ID: 1, Type: Int, Bits: ints(452, 451)},
				{ID: 2, Type: Int, Bits: ints(612, 618)},
			},
		},
		"data-one-sample@schema-climate": {
			Seq: 100_000, Times: []int64{day + 123_456},
			Columns: []Column{
				{ID: 0, Type: Int, Bits: ints(-1250)},
				{ID: 1, Type: Int, Bits: ints(0)},
				{ID: 2, Type: Int, Bits: ints(70_000)},
			},
		},
		"data-boot@schema-climate": {
			Seq: 2, Clock: ClockBoot, Boot: 300, Times: []int64{5_000_000, 5_500_000},
			Columns: []Column{{ID: 2, Type: Int, Bits: ints(612, 612)}},
		},
		"data-microseconds@schema-climate": {
			Seq: 3, Times: []int64{day, day + 1_000, day + 2_001, day + 3_002},
			Columns: []Column{{ID: 0, Type: Int, Bits: ints(1, 2, 3, 4)}},
		},
		"data-milliseconds@schema-climate": {
			Seq: 4, Times: []int64{day, day + 100_000, day + 201_000, day + 301_000},
			Columns: []Column{{ID: 0, Type: Int, Bits: ints(1, 0, -1, -2)}},
		},
		"data-back-in-time@schema-climate": {
			Seq: 5, Times: []int64{day, day, day - 3_600_000_000},
			Columns: []Column{{ID: 0, Type: Int, Bits: ints(5, 5, 5)}},
		},
		"data-before-1970@schema-climate": {
			Seq: 6, Times: []int64{-1},
			Columns: []Column{{ID: 1, Type: Int, Bits: ints(1)}},
		},
		"data-highest@schema-everything": {
			Seq: MaxSeq, Clock: ClockBoot, Boot: math.MaxUint64, Times: []int64{math.MaxInt64},
			Columns: []Column{{ID: math.MaxUint16, Type: Int, Bits: ints(math.MinInt64)}},
		},
		"data-every-type@schema-everything": {
			Seq: 7, Times: []int64{day, day + 1_000_000, day + 2_000_000},
			Columns: []Column{
				{ID: 0, Type: Bool, Bits: []uint64{1, 0, 1}},
				{ID: 1, Type: Int, Bits: ints(12, 13, 11)},
				{ID: 7, Type: Float32, Bits: floats(1.5, -2, 0)},
				{ID: 8, Type: Float64, Bits: floats(52.5, 52.25, -0.125)},
				{ID: 300, Type: String, Text: texts("on", "", "é")},
				{ID: math.MaxUint16, Type: Int, Bits: ints(math.MaxInt64, math.MinInt64, 0)},
			},
		},
		"data-absent@schema-everything": {
			Seq: 8, Times: []int64{day, day + 1_000_000, day + 2_000_000},
			Columns: []Column{
				{ID: 0, Type: Bool, Present: some, Bits: []uint64{0, 0, 1}},
				{ID: 1, Type: Int, Present: some, Bits: ints(12, 0, 13)},
				{ID: 7, Type: Float32, Present: some, Bits: floats(1.5, 0, -2)},
				{ID: 8, Type: Float64, Present: some, Bits: floats(52.5, 0, 52.25)},
				{ID: 300, Type: String, Present: some, Text: [][]byte{[]byte("on"), nil, []byte("off")}},
				{ID: math.MaxUint16, Type: Int, Present: make([]bool, 3), Bits: ints(0, 0, 0)},
			},
		},
		"data-nine@schema-everything": {
			Seq: 9, Times: everyMS,
			Columns: []Column{
				{ID: 0, Type: Bool, Present: []bool{true, true, true, true, true, true, true, true, false}, Bits: []uint64{1, 0, 0, 0, 0, 0, 0, 1, 0}},
				{ID: 1, Type: Int, Present: []bool{false, false, false, false, false, false, false, false, true}, Bits: ints(0, 0, 0, 0, 0, 0, 0, 0, 64)},
			},
		},
		"data-8192-values@schema-nine": {
			Seq: 11, Times: atOnce,
			Columns: []Column{full(0), full(1), full(2), full(3), full(4), full(5), full(6), full(7)},
		},
		"data-float-edges@schema-everything": {
			Seq: 10, Times: []int64{day, day, day, day},
			Columns: []Column{
				{ID: 7, Type: Float32, Bits: floats(math.Inf(1), math.Inf(-1), float64(math.Float32frombits(0x7fc00000)), math.Copysign(0, -1))},
				{ID: 8, Type: Float64, Bits: []uint64{0x7ff8000000000000, math.Float64bits(math.Inf(-1)), 1, math.Float64bits(math.MaxFloat64)}},
			},
		},
	}
}
