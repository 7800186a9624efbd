package device

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAckIsWhatTheLibraryWrites holds the hand-written bytes to the CBOR library's, over all lengths of integers.
func TestAckIsWhatTheLibraryWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flat := rapid.SliceOf(rapid.Custom(func(t *rapid.T) uint64 {
			return rapid.Uint64().Draw(t, "n") >> rapid.IntRange(0, 63).Draw(t, "shift")
		})).Draw(t, "flat")
		flat = flat[:len(flat)&^1]
		var ranges Ranges
		for i := 0; i < len(flat); i += 2 {
			ranges = append(ranges, Range{flat[i], flat[i+1]})
		}
		payload, err := encMode.Marshal(struct {
			Flat []uint64 `cbor:"1,keyasint"`
		}{flat})
		if err != nil {
			t.Fatal(err)
		}
		want := append([]byte{byte(TypeAck)}, payload...)
		if got := AppendAck(nil, ranges); !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
		if got := AppendControl(nil, &Ack{ranges}); !bytes.Equal(got, want) {
			t.Fatalf("AppendControl: %x, want %x", got, want)
		}
	})
}

// TestParseControlLimits: what is too long for a vector.
func TestParseControlLimits(t *testing.T) {
	if _, err := ParseControl(make([]byte, MaxMessage+1)); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "16385 bytes") {
		t.Errorf("a message of MaxMessage+1 bytes: %v", err)
	}
	if _, err := ParseControl([]byte{byte(TypeData), 1}); !errors.Is(err, ErrUnknownType) {
		t.Errorf("DATA: %v", err)
	}
}

// TestSchemaValidateLength: a schema within every other limit may still be longer than a message.
func TestSchemaValidateLength(t *testing.T) {
	s := &Schema{}
	for id := range MaxChannels {
		s.Channels = append(s.Channels, Channel{ID: uint16(id), Name: fmt.Sprintf("%064d", id), Type: Int})
	}
	if err := s.Validate(); err == nil || !strings.Contains(err.Error(), fmt.Sprint(len(AppendControl(nil, s)))) {
		t.Errorf("%d bytes: %v", len(AppendControl(nil, s)), err)
	}
	for i := range s.Channels {
		s.Channels[i].Name = fmt.Sprint("c", i)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("%d bytes: %v", len(AppendControl(nil, s)), err)
	}
}

// TestLimitsCanBeReached: what is exactly at a limit is taken.
func TestLimitsCanBeReached(t *testing.T) {
	name, unit, text := strings.Repeat("n", MaxName), strings.Repeat("u", MaxUnit), strings.Repeat("t", MaxText)
	values := map[string]any{name: strings.Repeat("s", MaxString)}
	spec := CommandSpec{Name: name}
	for i := range MaxArgs {
		spec.Args = append(spec.Args, Arg{Name: fmt.Sprintf("%0*d", MaxName, i), Type: Int, Unit: unit, Min: ptr(1), Max: ptr(1)})
	}
	for i := range MaxArgs - 1 {
		values[fmt.Sprint(i)] = int64(i)
	}
	schema := &Schema{
		// The names of channels and of commands are apart.
		Channels: []Channel{{Name: name, Type: Int, Unit: unit, Scale: MaxScale}, {ID: 1, Name: "n", Type: Int, Scale: -MaxScale}},
		Commands: []CommandSpec{spec},
	}
	for i := range MaxCommands - 1 {
		schema.Commands = append(schema.Commands, CommandSpec{Name: fmt.Sprint(i)})
	}
	ranges := alternating(MaxRanges)
	nested := append(AppendControl(nil, &Lost{First: 1, Last: MaxSeq, Reason: 255}), 24, 99)
	nested[1]++ // one key more
	nested = append(nested, bytes.Repeat([]byte{cborArray | 1}, maxNesting-1)...)
	pairs := []byte{byte(TypeAck), cborMap | 24, maxPairs}
	for key := range byte(maxPairs) {
		pairs = append(pairs, cborUint|24, 100+key, 0)
	}
	for what, message := range map[string][]byte{
		"texts":   AppendControl(nil, &Hello{Stream: 1, Oldest: MaxSeq, Next: MaxSeq, Firmware: text, Model: text}),
		"values":  AppendControl(nil, &Result{ID: commandID, Status: ResultExpired, Text: text, Values: values}),
		"schema":  AppendControl(nil, schema),
		"ranges":  AppendAck(nil, ranges),
		"nesting": append(nested, 0),
		"pairs":   pairs,
	} {
		if _, err := ParseControl(message); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(schema.Commands) != MaxCommands || len(values) != MaxArgs {
		t.Errorf("%d commands, %d values", len(schema.Commands), len(values))
	}
}

// alternating is n ranges of every other number up to MaxSeq.
func alternating(n int) Ranges {
	ranges := make(Ranges, n)
	for i := range ranges {
		seq := MaxSeq - 2*uint64(n-1-i)
		ranges[i] = Range{seq, seq}
	}
	return ranges
}

// TestNoChannels: nil channels go out as an array, not as null, which no parser takes.
func TestNoChannels(t *testing.T) {
	message := AppendControl(nil, &Schema{Commands: boxed.Commands})
	if !bytes.Equal(message, AppendControl(nil, boxed)) {
		t.Errorf("%x", message)
	}
}

// TestValidateOutgoing: what ParseControl could not have returned, but a program may try to send.
func TestValidateOutgoing(t *testing.T) {
	for name, m := range map[string]Message{
		"an int value":          &Result{ID: commandID, Values: map[string]any{"a": 1}},
		"a value not UTF-8":     &Result{ID: commandID, Values: map[string]any{"a": "\xff"}},
		"a text not UTF-8":      &Reject{Code: RejectLimit, Text: "\xff"},
		"an argument name":      &Command{ID: commandID, Name: "c", Args: map[string]any{"\xff": true}},
		"257 ranges":            &Ack{alternating(MaxRanges + 1)},
		"a second of two texts": &Hello{Stream: 1, Oldest: 1, Next: 1, Model: strings.Repeat("m", MaxText+1)},
	} {
		if err := m.Validate(); err == nil {
			t.Errorf("%s is valid", name)
		}
	}
}

func TestSchemaChannel(t *testing.T) {
	for _, want := range []uint16{0, 1, 7, 8, 300, math.MaxUint16} {
		if ch, ok := everything.Channel(want); !ok || ch.ID != want {
			t.Errorf("channel %d: %v, %v", want, ch, ok)
		}
	}
	for _, absent := range []uint16{2, 6, 9, 301, math.MaxUint16 - 1} {
		if ch, ok := everything.Channel(absent); ok {
			t.Errorf("channel %d: %v", absent, ch)
		}
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{commandID.String(), "0193f05e-7a10-7c2b-9d41-3e88510c6faa"},
		{HashSchema(AppendControl(nil, climate)).String(), "0bc37fd12abedb1c"},
		{TypeGoAway.String(), "GOAWAY"},
		{Type(0x7f).String(), "type 0x7f"},
		{Float32.String(), "float32"},
		{ValueType(9).String(), "type 9"},
		{RejectUnknownChannel.String(), "unknown channel"},
		{RejectCode(77).String(), "code 77"},
		{LostCorrupted.String(), "corrupted"},
		{LostReason(77).String(), "reason 77"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

func TestHashText(t *testing.T) {
	want := HashSchema(AppendControl(nil, climate))
	text, err := want.MarshalText()
	if err != nil || string(text) != "0bc37fd12abedb1c" {
		t.Errorf("%q, %v", text, err)
	}
	var got Hash
	if err := got.UnmarshalText(text); err != nil || got != want {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "0bc37fd12abedb1", "0bc37fd12abedb1c0", "0bc37fd12abedb1c00", "0bc37fd12abedb1g"} {
		if err := got.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
