package store

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
)

var entryCases = []struct {
	encoded []byte
	want    entry
}{
	{
		appendSource(nil, &source{number: 300, device: "room-1", stream: 1 << 63, message: []byte{2, 0xa0}}),
		entry{kind: entrySource, source: 300, device: []byte("room-1"), stream: 1 << 63, message: []byte{2, 0xa0}},
	},
	{
		appendFrame(nil, 300, Timing{Offset: -5, Quality: 1}, []byte{3, 9}),
		entry{kind: entryFrame, source: 300, offset: -5, quality: 1, message: []byte{3, 9}},
	},
	{
		appendReject(nil, "a", 7, 8, device.RejectLimit, "too long", []byte{3}),
		entry{kind: entryReject, device: []byte("a"), stream: 7, seq: 8, code: 4, text: []byte("too long"), message: []byte{3}},
	},
	{
		appendLost(nil, "a", 7, &device.Lost{First: 5, Last: 900, Reason: 2}),
		entry{kind: entryLost, device: []byte("a"), stream: 7, first: 5, last: 900, code: 2},
	},
	{appendDuplicates(nil, "a", 129), entry{kind: entryDuplicates, device: []byte("a"), count: 129}},
	{appendBoot(nil, "a", 3, -1), entry{kind: entryBoot, device: []byte("a"), boot: 3, offset: -1}},
	{appendForget(nil, "a"), entry{kind: entryForget, device: []byte("a")}},
	{appendClock(nil, clockMove{1 << 60, -5, 7, 1}), entry{kind: entryClock, move: clockMove{1 << 60, -5, 7, 1}}},
}

func TestEntries(t *testing.T) {
	for _, c := range entryCases {
		var got entry
		if err := parseEntry(c.encoded, &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("% x: %+v, %v; want %+v", c.encoded, got, err, c.want)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	for _, c := range entryCases {
		f.Add(c.encoded)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e entry
		if parseEntry(b, &e) != nil {
			return
		}
		var again []byte
		lost := &device.Lost{First: e.first, Last: e.last, Reason: device.LostReason(e.code)}
		id := string(e.device)
		switch e.kind {
		case entrySource:
			again = appendSource(nil, &source{number: e.source, device: id, stream: e.stream, message: e.message})
		case entryFrame:
			again = appendFrame(nil, e.source, Timing{Offset: e.offset, Quality: e.quality}, e.message)
		case entryReject:
			again = appendReject(nil, id, e.stream, e.seq, device.RejectCode(e.code), string(e.text), e.message)
		case entryLost:
			again = appendLost(nil, id, e.stream, lost)
		case entryDuplicates:
			again = appendDuplicates(nil, id, e.count)
		case entryBoot:
			again = appendBoot(nil, id, e.boot, e.offset)
		case entryForget:
			again = appendForget(nil, id)
		case entryClock:
			again = appendClock(nil, e.move)
		}
		var second entry
		if err := parseEntry(again, &second); err != nil {
			t.Fatalf("% x: %v", again, err)
		}
		if e.message, second.message = norm(e.message), norm(second.message); !reflect.DeepEqual(e, second) {
			t.Fatalf("%+v became %+v", e, second)
		}
	})
}

// norm makes empty slices equal.
func norm(b []byte) []byte { return bytes.Clone(append([]byte{}, b...)) }
