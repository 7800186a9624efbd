package device

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// The tests in this file hold PROTOCOL.md to the codec: everything in it that is made of bytes.

var update = flag.Bool("update", false, "rewrite the generated parts of PROTOCOL.md: the tables of sizes, ```hex NAME and ```frame NAME")

func readProtocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is a fenced block: its info string and what it holds.
var block = regexp.MustCompile("(?s)```([^\n]*)\n(.*?)```\n")

// TestProtocolIsGenerated compares the generated parts with what the vectors and the codec yield.
func TestProtocolIsGenerated(t *testing.T) {
	text := readProtocol(t)
	vectors := readVectors(t)
	generated := block.ReplaceAllStringFunc(text, func(whole string) string {
		parts := block.FindStringSubmatch(whole)
		info := strings.Fields(parts[1])
		if len(info) < 2 || info[0] != "hex" && info[0] != "frame" {
			return whole
		}
		v, ok := vectors[info[1]]
		if !ok {
			t.Fatalf("```%s names no vector", parts[1])
		}
		content := v.message
		if info[0] == "frame" {
			content = webSocketFrame(t, v.message, info[2:])
		}
		return "```" + parts[1] + "\n" + hexLines(content) + "```\n"
	})
	generated = replaceTable(t, generated, "sizes", sizeTable(t))
	generated = replaceTable(t, generated, "largest", largestTable(t))
	if *update {
		if err := os.WriteFile("PROTOCOL.md", []byte(generated), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, want := strings.Split(text, "\n"), strings.Split(generated, "\n"); text != generated {
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("line %d: %s\nwant: %s\n(go test -run TestProtocolIsGenerated -update rewrites it)", i+1, got[i], want[i])
			}
		}
		t.Fatal("lines are missing")
	}
}

// replaceTable puts a table between <!-- name --> and the next <!-- end -->.
func replaceTable(t *testing.T, text, name, table string) string {
	t.Helper()
	begin, end := "<!-- "+name+" -->\n", "<!-- end -->\n"
	before, rest, ok := strings.Cut(text, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("the table %q has no place", name)
	}
	return before + begin + table + end + after
}

// largestTable is the size of the largest message of each type that the hub sends.
func largestTable(t *testing.T) string {
	t.Helper()
	most := make(Ranges, MaxRanges)
	for i := range most {
		seq := MaxSeq - uint64(2*(MaxRanges-i))
		most[i] = Range{seq, seq}
	}
	name, text := strings.Repeat("n", MaxName), strings.Repeat("t", MaxText)
	args := map[string]any{}
	for i := range MaxArgs {
		args[fmt.Sprintf("%c%s", 'a'+i, name[1:])] = strings.Repeat("s", MaxString)
	}
	var s strings.Builder
	s.WriteString("| message | bytes at most |\n| --- | --- |\n")
	for _, m := range []Message{
		&Welcome{Device: name, Now: math.MaxInt64, Received: most, NeedSchema: true, NeedStream: true, WindowFrames: math.MaxUint32, WindowBytes: math.MaxUint32,
			AckDelay: math.MaxUint32, Idle: math.MaxUint32, FrameRate: math.MaxUint32},
		&Ack{Ranges: most},
		&Reject{Seq: MaxSeq, Code: math.MaxUint8, Text: text},
		&Resend{Ranges: most},
		&Command{ID: commandID, Name: name, Args: args, Deadline: math.MaxInt64, TTL: math.MaxUint32},
		&GoAway{Reason: math.MaxUint8, MinMS: math.MaxUint32, MaxMS: math.MaxUint32, Text: text},
	} {
		if err := m.Validate(); err != nil {
			t.Errorf("%v: %v", m.Type(), err)
		}
		fmt.Fprintf(&s, "| %v | %d |\n", m.Type(), min(len(AppendControl(nil, m)), MaxMessage))
	}
	return s.String()
}

// webSocketFrame is one unfragmented binary frame (RFC 6455 §5.2), masked if there is a key.
func webSocketFrame(t *testing.T, message []byte, key []string) []byte {
	t.Helper()
	frame := []byte{0x82}
	masked := byte(len(key)) << 7
	if len(message) < 126 {
		frame = append(frame, masked|byte(len(message)))
	} else {
		frame = append(frame, masked|126, byte(len(message)>>8), byte(len(message)))
	}
	if len(key) == 0 {
		return append(frame, message...)
	}
	mask, err := hex.DecodeString(key[0])
	if err != nil || len(mask) != 4 {
		t.Fatalf("%q is no masking key", key[0])
	}
	frame = append(frame, mask...)
	for i, b := range message {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}

// hexLines writes 16 bytes a line.
func hexLines(b []byte) string {
	var s strings.Builder
	for ; len(b) > 0; b = b[min(16, len(b)):] {
		fmt.Fprintf(&s, "% x\n", b[:min(16, len(b))])
	}
	return s.String()
}

// sizeTable also holds the sizes to what the protocol is meant to reach.
func sizeTable(t *testing.T) string {
	t.Helper()
	var s strings.Builder
	s.WriteString("| samples × channels | readings | Int: bytes | per reading | Float32: bytes | per reading |\n")
	s.WriteString("| --- | --- | --- | --- | --- | --- |\n")
	most := map[int]float64{1: 8, 60: 2}
	for _, samples := range []int{1, 10, 60} {
		d := sizedFrame(samples)
		asInts := len(mustAppendData(t, d, climate))
		asFloats := len(mustAppendData(t, inFloats(d), climateInFloats()))
		readings := d.Readings()
		perReading := float64(asInts) / float64(readings)
		if limit, ok := most[samples]; ok && perReading >= limit {
			t.Errorf("%d×3: %.2f bytes per reading, want less than %v", samples, perReading, limit)
		}
		fmt.Fprintf(&s, "| %d × 3 | %d | %d | %.2f | %d | %.2f |\n",
			samples, readings, asInts, perReading, asFloats, float64(asFloats)/float64(readings))
	}
	return s.String()
}

// inFloats is d with its values in Float32.
func inFloats(d *Data) *Data {
	out := &Data{Seq: d.Seq, Times: d.Times}
	for i := range d.Columns {
		ch, _ := climate.Channel(d.Columns[i].ID)
		c := Column{ID: ch.ID, Type: Float32}
		for k := range d.Times {
			v, _ := d.Columns[i].Value(k, ch)
			f, _ := v.Float()
			c.Bits = append(c.Bits, math.Float64bits(f))
		}
		out.Columns = append(out.Columns, c)
	}
	return out
}

func climateInFloats() *Schema {
	s := &Schema{}
	for _, c := range climate.Channels {
		s.Channels = append(s.Channels, Channel{ID: c.ID, Name: c.Name, Type: Float32, Unit: c.Unit})
	}
	return s
}

// TestProtocolNotation compares each ```cbor NAME with what its vector says, and each ```hash NAME with its hash.
func TestProtocolNotation(t *testing.T) {
	vectors := readVectors(t)
	shown := map[Type]bool{}
	for _, parts := range block.FindAllStringSubmatch(readProtocol(t), -1) {
		kind, name, _ := strings.Cut(parts[1], " ")
		v := vectors[name]
		switch kind {
		case "cbor":
			want, err := cbor.Diagnose(v.message[1:])
			if err != nil {
				t.Fatal(err)
			}
			if squeeze(parts[2]) != squeeze(want) {
				t.Errorf("%s is %s", name, want)
			}
			shown[Type(v.message[0])] = true
		case "hash":
			if got, want := strings.TrimSpace(parts[2]), HashSchema(v.message).String(); got != want {
				t.Errorf("the hash of %s is %s, not %s", name, want, got)
			}
		}
	}
	for name, m := range vectorMessages() {
		if !shown[m.Type()] {
			t.Errorf("no example of %v, such as %s", m.Type(), name)
		}
	}
}

// squeeze leaves out white space.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

// TestProtocolByteByByte adds up the tables of bytes: each row begins where the one before ends, and together they are the
// vector.
func TestProtocolByteByByte(t *testing.T) {
	vectors := readVectors(t)
	tables := regexp.MustCompile(`(?s)<!-- bytes (\S+) -->\n(.*?)<!-- end -->`).FindAllStringSubmatch(readProtocol(t), -1)
	if len(tables) < 2 {
		t.Fatalf("%d tables", len(tables))
	}
	row := regexp.MustCompile("(?m)^\\| (\\d+) \\| `([0-9a-f ]+)` \\| .+ \\|$")
	for _, table := range tables {
		var sum []byte
		for _, cells := range row.FindAllStringSubmatch(table[2], -1) {
			if offset, _ := strconv.Atoi(cells[1]); offset != len(sum) {
				t.Errorf("%s: offset %d, where %d bytes have been explained", table[1], offset, len(sum))
			}
			piece, err := hex.DecodeString(squeeze(cells[2]))
			if err != nil {
				t.Fatal(err)
			}
			sum = append(sum, piece...)
		}
		if want := vectors[table[1]].message; !bytes.Equal(sum, want) {
			t.Errorf("%s: the rows make % x, want % x", table[1], sum, want)
		}
	}
}

// TestProtocolNumbers holds the examples of varint and zigzag to the codec.
func TestProtocolNumbers(t *testing.T) {
	text := strings.ReplaceAll(readProtocol(t), "−", "-")
	rows := regexp.MustCompile("(?m)^\\| (\\d+) \\| `([0-9a-f ]+)` \\| \\| (-?\\d+) \\| `([0-9a-f ]+)` \\|$").FindAllStringSubmatch(text, -1)
	if len(rows) != 5 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, cells := range rows {
		plain, _ := hex.DecodeString(squeeze(cells[2]))
		if v, n := uvarint(plain); n != len(plain) || fmt.Sprint(v) != cells[1] {
			t.Errorf("% x is %d, not %s", plain, v, cells[1])
		}
		mapped, _ := hex.DecodeString(squeeze(cells[4]))
		if u, n := uvarint(mapped); n != len(mapped) || fmt.Sprint(unzigzag(u)) != cells[3] {
			t.Errorf("% x is %d, not %s", mapped, unzigzag(u), cells[3])
		}
	}
}
