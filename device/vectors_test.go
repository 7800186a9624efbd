package device

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
)

// vector is one line of testdata/vectors.txt, whose head describes the format.
type vector struct {
	name    string // without what is behind the @
	schema  string // name of the SCHEMA vector that a DATA vector is read with
	message []byte
	meaning string
}

func (v vector) bad() bool { return strings.HasPrefix(v.name, "bad-") }

func (v vector) also() bool { return strings.HasPrefix(v.name, "also-") }

// key is the name as it stands in the file.
func (v vector) key() string {
	if v.schema == "" {
		return v.name
	}
	return v.name + "@" + v.schema
}

func readVectors(t testing.TB) map[string]vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		t.Fatal(err)
	}
	vectors := map[string]vector{}
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if len(line) > 6000 {
			t.Fatalf("line %d has %d bytes, more than the head says", i+1, len(line))
		}
		fields := strings.Split(line, "|")
		if len(fields) != 3 {
			t.Fatalf("line %d has %d fields", i+1, len(fields))
		}
		message, err := hex.DecodeString(fields[1])
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		name, schema, _ := strings.Cut(fields[0], "@")
		if _, twice := vectors[fields[0]]; twice {
			t.Fatalf("line %d: %s for the second time", i+1, fields[0])
		}
		vectors[fields[0]] = vector{name, schema, message, fields[2]}
	}
	return vectors
}

// schemaOf reads the schema that a DATA vector names, nil if it names none.
func schemaOf(t testing.TB, vectors map[string]vector, v vector) *Schema {
	t.Helper()
	if v.schema == "" {
		return nil
	}
	m, err := ParseControl(vectors[v.schema].message)
	if err != nil {
		t.Fatalf("%s: its schema: %v", v.key(), err)
	}
	return m.(*Schema)
}

// TestControlVectors writes every control message behind a prefix, reads it back, and cuts it at every byte.
func TestControlVectors(t *testing.T) {
	vectors := readVectors(t)
	for name, want := range vectorMessages() {
		encoded := AppendControl([]byte("prefix"), want)[len("prefix"):]
		diagnosis, err := cbor.Diagnose(encoded[1:])
		if err != nil {
			t.Fatal(err)
		}
		line := fmt.Sprintf("%s|%x|%v %s", name, encoded, want.Type(), diagnosis)
		v, ok := vectors[name]
		if !ok || !bytes.Equal(v.message, encoded) || v.meaning != fmt.Sprintf("%v %s", want.Type(), diagnosis) {
			t.Errorf("%s is not in the file as the codec writes it:\n%s", name, line)
			continue
		}
		if err := want.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got, err := ParseControl(v.message)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		for cut := range v.message {
			if m, err := ParseControl(v.message[:cut]); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d bytes: %v, %v", name, cut, m, err)
			}
		}
		if _, err := ParseControl(append(v.message[:len(v.message):len(v.message)], 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s with a byte more: %v", name, err)
		}
	}
}

// TestDataVectors does the same for DATA. Cut between two columns a DATA message is one with fewer columns.
func TestDataVectors(t *testing.T) {
	vectors := readVectors(t)
	var got Data // one for all: nothing of an earlier message may show in a later one
	for key, want := range vectorFrames() {
		v, ok := vectors[key]
		if !ok {
			_, schema, _ := strings.Cut(key, "@")
			v = vector{name: key, schema: schema}
		}
		schema := schemaOf(t, vectors, v)
		encoded, err := AppendData([]byte("prefix"), want, schema)
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		encoded = encoded[len("prefix"):]
		if !bytes.Equal(v.message, encoded) || v.meaning != describe(want, schema) {
			t.Errorf("%s is not in the file as the codec writes it:\n%s|%x|%s", key, key, encoded, describe(want, schema))
			continue
		}
		if err := ParseData(v.message, schema, &got); err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		if diff := cmp.Diff(want, &got, ignoreMemory); diff != "" {
			t.Errorf("%s: %s", key, diff)
		}
		whole := 0
		for cut := range v.message {
			err := ParseData(v.message[:cut], schema, &got)
			if err == nil {
				whole++
				shorter := *want
				shorter.Columns = want.Columns[:whole]
				if diff := cmp.Diff(&shorter, &got, ignoreMemory); diff != "" {
					t.Errorf("%s cut to %d bytes: %s", key, cut, diff)
				}
			} else if refused := err.(*DataError); refused.Code != RejectMalformed || refused.Seq != want.Seq && refused.Seq != 0 {
				t.Errorf("%s cut to %d bytes: %v", key, cut, err)
			}
		}
		if whole != len(want.Columns)-1 {
			t.Errorf("%s: %d of its beginnings are whole messages", key, whole)
		}
		err = ParseData(v.message, nil, &got)
		if refused, ok := err.(*DataError); !ok || refused.Code != RejectNoSchema || refused.Seq != want.Seq {
			t.Errorf("%s without a schema: %v", key, err)
		}
	}
}

// TestAlsoVectors: bytes that no encoder of ours writes are read as the vector they name.
func TestAlsoVectors(t *testing.T) {
	vectors := readVectors(t)
	for key, v := range vectors {
		if !v.also() {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(v.meaning, "as "), ":")
		if bytes.Equal(v.message, vectors[name].message) {
			t.Errorf("%s is %s", key, name)
		}
		if got, want := parseVector(t, vectors, v), parseVector(t, vectors, vectors[name]); !cmp.Equal(got, want, ignoreMemory) {
			t.Errorf("%s: %s", key, cmp.Diff(want, got, ignoreMemory))
		}
	}
}

// parseVector returns the Message or the *Data of a vector.
func parseVector(t *testing.T, vectors map[string]vector, v vector) any {
	t.Helper()
	if s := schemaOf(t, vectors, v); s != nil {
		d := new(Data)
		if err := ParseData(v.message, s, d); err != nil {
			t.Fatalf("%s: %v", v.key(), err)
		}
		return d
	}
	m, err := ParseControl(v.message)
	if err != nil {
		t.Fatalf("%s: %v", v.key(), err)
	}
	return m
}

// jargon is what errors must not say: names of Go types and the library's words.
var jargon = regexp.MustCompile(`(?i)cbor: |\bgo\b|device\.|\bEOF|u?int\d|interface|\[\]|primitive|unmarshal`)

// TestBadVectors: what the meaning says before its colon is what the codec says.
func TestBadVectors(t *testing.T) {
	vectors := readVectors(t)
	values := len(vectorMessages()) + len(vectorFrames())
	refusals := map[string]int{}
	for key, v := range vectors {
		if !v.bad() {
			if !v.also() {
				values--
			}
			continue
		}
		want, _, _ := strings.Cut(v.meaning, ":")
		refusals[want]++
		if got := refusal(v, schemaOf(t, vectors, v)); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
		if _, err := ParseControl(v.message); err != nil && jargon.MatchString(err.Error()) {
			t.Errorf("%s: a device author is told: %v", key, err)
		}
	}
	if values != 0 {
		t.Error("valid lines of the file have no value in the test")
	}
	for _, kind := range []string{"malformed", "unknown type", "reject 1", "reject 2", "reject 3", "reject 4", "reject 5"} {
		if refusals[kind] == 0 {
			t.Errorf("no vector is refused as %q", kind)
		}
	}
}

// TestRefusalsSayWhatIsWrong: the texts end up before the author of the device's firmware.
func TestRefusalsSayWhatIsWrong(t *testing.T) {
	vectors := readVectors(t)
	for key, want := range map[string]string{
		"bad-hello-alone":                     "malformed message: HELLO: it ends too early",
		"bad-hello-array":                     "malformed message: HELLO: the payload: expected a map, found an array",
		"bad-hello-byte-key":                  "malformed message: HELLO: a key: expected an integer or text, found a byte string",
		"bad-hello-clock-256":                 "malformed message: HELLO: in key 4: expected an unsigned integer of 8 bits, found an integer out of range",
		"bad-hello-firmware-bytes":            "malformed message: HELLO: in key 9: expected text, found a byte string",
		"bad-hello-hash-text":                 "malformed message: HELLO: in key 5: expected a byte string, found text",
		"bad-hello-stream-float":              "malformed message: HELLO: in key 1: expected an unsigned integer of 64 bits, found a bool or float",
		"bad-hello-twice-a-key":               "malformed message: HELLO: key 7 occurs twice",
		"bad-result-value-map":                `malformed message: RESULT: values: "a" is not a bool, integer, float or text`,
		"bad-schema-channels-map":             "malformed message: SCHEMA: in key 1: expected an array, found a map",
		"bad-schema-writable-1":               "malformed message: SCHEMA: in key 1: expected a bool, found a positive integer",
		"bad-data-boot-padded@schema-climate": "frame 1: malformed: the boot counter is not a shortest varint",
		"bad-data-head-padded@schema-climate": "frame 1: malformed: the head of column 0 is not a shortest varint",
		"bad-data-id-65536@schema-climate":    "frame 1: malformed: column 0 has channel id 65536, above 65535",
		"bad-data-same-column@schema-climate": "frame 1: malformed: channel 0 is not above the one before",
	} {
		v := vectors[key]
		_, err := ParseControl(v.message)
		if v.schema != "" {
			err = ParseData(v.message, schemaOf(t, vectors, v), new(Data))
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", key, err, want)
		}
	}
}

// refusal is the answer to a vector in the words of the file, with the text of the error on failure of the test.
func refusal(v vector, s *Schema) string {
	if len(v.message) > 0 && Type(v.message[0]) == TypeData {
		var d Data
		err := ParseData(v.message, s, &d)
		if err == nil {
			return "taken"
		}
		return fmt.Sprintf("reject %d", err.(*DataError).Code)
	}
	_, err := ParseControl(v.message)
	switch {
	case err == nil:
		return "taken"
	case errors.Is(err, ErrUnknownType):
		return "unknown type"
	case errors.Is(err, ErrMalformed):
		return "malformed"
	}
	return err.Error()
}

// describe tells what a DATA message holds: sequence number, clock, times in µs, and each column's values, – where absent.
func describe(d *Data, s *Schema) string {
	var b strings.Builder
	fmt.Fprintf(&b, "DATA seq %d", d.Seq)
	if d.Clock == ClockBoot {
		fmt.Fprintf(&b, ", boot %d", d.Boot)
	}
	var items []string
	for _, at := range d.Times {
		items = append(items, fmt.Sprint(at))
	}
	fmt.Fprintf(&b, ", times [%s]", shorten(items))
	for i := range d.Columns {
		c := &d.Columns[i]
		ch, _ := s.Channel(c.ID)
		items = items[:0]
		for k := range d.Times {
			v, ok := c.Value(k, ch)
			switch {
			case !ok:
				items = append(items, "–")
			case v.Type == String:
				items = append(items, fmt.Sprintf("%q", v.Text))
			default:
				items = append(items, string(v.AppendText(nil)))
			}
		}
		fmt.Fprintf(&b, ", %s %s", ch.Name, shorten(items))
	}
	return b.String()
}

// shorten joins items, each run of more than 8 equal ones as one with their number.
func shorten(items []string) string {
	var out []string
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n] == items[0] {
			n++
		}
		if n > 8 {
			out = append(out, fmt.Sprintf("%s×%d", items[0], n))
		} else {
			out = append(out, items[:n]...)
		}
		items = items[n:]
	}
	return strings.Join(out, " ")
}
