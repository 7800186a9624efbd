package device

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzParseControl: no input breaks the parser, and what it takes is written and read back the same.
func FuzzParseControl(f *testing.F) {
	for _, v := range readVectors(f) {
		f.Add(v.message)
	}
	same := cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateEmpty()} // nil and empty are one in the bytes
	f.Fuzz(func(t *testing.T, message []byte) {
		m, err := ParseControl(message)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnknownType) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if err := m.Validate(); err != nil {
			t.Fatalf("taken, but %v", err)
		}
		written := AppendControl(nil, m)
		if len(written) > MaxMessage {
			return // keys that may be left out but are written made it longer
		}
		again, err := ParseControl(written)
		if err != nil {
			t.Fatalf("%x, written as %x: %v", message, written, err)
		}
		if diff := cmp.Diff(m, again, same); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzParseData: no input breaks the parser or makes it take more memory than the limits allow, and what it takes is
// written and read back the same.
func FuzzParseData(f *testing.F) {
	vectors := readVectors(f)
	for key, v := range vectors {
		if len(v.message) > 0 && Type(v.message[0]) == TypeData && v.schema != "" {
			f.Add(vectors[key].message)
		}
	}
	var d, again Data // used over and over, as a hub does
	f.Fuzz(func(t *testing.T, message []byte) {
		if err := ParseData(message, everything, &d); err != nil {
			if refused, ok := err.(*DataError); !ok || refused.Code == 0 || (&Reject{Seq: refused.Seq, Code: refused.Code, Text: refused.Text}).Validate() != nil {
				t.Fatalf("an error that no REJECT can carry: %v", err)
			}
			return
		}
		if n := len(d.Times) * len(d.Columns); len(d.Times) > MaxSamples || n > MaxReadings || d.Readings() > n {
			t.Fatalf("%d readings in %d samples of %d columns", d.Readings(), len(d.Times), len(d.Columns))
		}
		if len(d.bits) > MaxReadings || len(d.present) > MaxReadings || len(d.text) > MaxReadings {
			t.Fatalf("memory for %d, %d, %d values", len(d.bits), len(d.present), len(d.text))
		}
		written, err := AppendData(nil, &d, everything)
		if err != nil {
			t.Fatalf("cannot be written: %v", err)
		}
		if len(written) > len(message) {
			t.Fatalf("%d bytes became %d", len(message), len(written))
		}
		if err := ParseData(written, everything, &again); err != nil {
			t.Fatalf("%x, written as %x: %v", message, written, err)
		}
		if diff := cmp.Diff(&d, &again, ignoreMemory); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzCheckArgs: whatever a schema and a command are, arguments that are taken have the types described, and are taken again.
func FuzzCheckArgs(f *testing.F) {
	vectors := readVectors(f)
	for _, name := range []string{"command", "command-args", "command-no-args", "command-set"} {
		f.Add(vectors["schema-everything"].message, vectors[name].message)
	}
	f.Fuzz(func(t *testing.T, schema, command []byte) {
		s, err := ParseControl(schema)
		if err != nil || s.Type() != TypeSchema {
			return
		}
		c, err := ParseControl(command)
		if err != nil || c.Type() != TypeCommand {
			return
		}
		specs := s.(*Schema).Commands
		for i := range specs {
			args, err := specs[i].CheckArgs(c.(*Command).Args)
			if err != nil {
				continue
			}
			if again, err := specs[i].CheckArgs(args); err != nil || !cmp.Equal(args, again, cmpopts.EquateNaNs()) {
				t.Fatalf("%v, then %v, %v", args, again, err)
			}
		}
	})
}
