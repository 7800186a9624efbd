package tail

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
)

var entryCases = []struct {
	encoded []byte
	want    Entry
}{
	{
		AppendSource(nil, &Source{Number: 300, Device: "room-1", Stream: 1 << 63, Message: []byte{2, 0xa0}}),
		Entry{Kind: KindSource, Number: 300, Device: "room-1", Stream: 1 << 63, Message: []byte{2, 0xa0}},
	},
	{
		AppendFrame(nil, 300, Timing{Offset: -5, Quality: 1}, []byte{3, 9}),
		Entry{Kind: KindFrame, Number: 300, Timing: Timing{Offset: -5, Quality: 1}, Message: []byte{3, 9}},
	},
	{
		AppendReject(nil, "a", 7, 8, device.RejectLimit, "too long", []byte{3}),
		Entry{Kind: KindReject, Device: "a", Stream: 7, Seq: 8, Code: 4, Text: "too long", Message: []byte{3}},
	},
	{
		AppendLost(nil, "a", 7, &device.Lost{First: 5, Last: 900, Reason: 2}),
		Entry{Kind: KindLost, Device: "a", Stream: 7, First: 5, Last: 900, Reason: 2},
	},
	{AppendDuplicates(nil, "a", 129), Entry{Kind: KindDuplicates, Device: "a", Count: 129}},
	{AppendBoot(nil, "a", 3, -1), Entry{Kind: KindBoot, Device: "a", Boot: 3, Timing: Timing{Offset: -1}}},
	{AppendRemoval(nil, "a"), Entry{Kind: KindRemoval, Device: "a"}},
	{AppendClock(nil, ClockMove{1 << 60, -5, 7, 1}), Entry{Kind: KindClock, Move: ClockMove{1 << 60, -5, 7, 1}}},
}

func TestEntries(t *testing.T) {
	for _, c := range entryCases {
		var got Entry
		if err := Parse(c.encoded, &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("% x: %+v, %v; want %+v", c.encoded, got, err, c.want)
		}
	}
}

// What an entry held before does not matter.
func TestEntryIsReused(t *testing.T) {
	frame := Entry{Kind: KindFrame, Number: 4, Message: []byte{7}}
	encoded := AppendFrame(nil, frame.Number, frame.Timing, frame.Message)
	for _, c := range entryCases {
		var got Entry
		for _, b := range [][]byte{c.encoded, encoded, c.encoded} {
			if err := Parse(b, &got); err != nil {
				t.Fatal(err)
			}
			if want := map[bool]Entry{true: c.want, false: frame}[&b[0] == &c.encoded[0]]; !reflect.DeepEqual(got, want) {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range entryCases {
		f.Add(c.encoded)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e Entry
		if Parse(b, &e) != nil {
			return
		}
		var again []byte
		lost := &device.Lost{First: e.First, Last: e.Last, Reason: e.Reason}
		id := e.Device
		switch e.Kind {
		case KindSource:
			again = AppendSource(nil, &Source{Number: e.Number, Device: id, Stream: e.Stream, Message: e.Message})
		case KindFrame:
			again = AppendFrame(nil, e.Number, e.Timing, e.Message)
		case KindReject:
			again = AppendReject(nil, id, e.Stream, e.Seq, e.Code, e.Text, e.Message)
		case KindLost:
			again = AppendLost(nil, id, e.Stream, lost)
		case KindDuplicates:
			again = AppendDuplicates(nil, id, e.Count)
		case KindBoot:
			again = AppendBoot(nil, id, e.Boot, e.Timing.Offset)
		case KindRemoval:
			again = AppendRemoval(nil, id)
		case KindClock:
			again = AppendClock(nil, e.Move)
		}
		var second Entry
		if err := Parse(again, &second); err != nil {
			t.Fatalf("% x: %v", again, err)
		}
		if e.Message, second.Message = norm(e.Message), norm(second.Message); !reflect.DeepEqual(e, second) {
			t.Fatalf("%+v became %+v", e, second)
		}
	})
}

// norm makes empty slices equal.
func norm(b []byte) []byte { return bytes.Clone(append([]byte{}, b...)) }
