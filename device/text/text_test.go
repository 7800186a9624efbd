package text_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

func TestUTF8(t *testing.T) {
	for _, c := range []struct {
		name, file, want string
		err              error
	}{
		{"empty", "", "", nil},
		{"plain", "token\n", "token\n", nil},
		{"marked", "\xef\xbb\xbftoken", "token", nil},
		{"Notepad's Unicode", "\xff\xfet\x00\xe4\x00", "tä", nil},
		{"big endian", "\xfe\xff\x00t\xd8\x3d\xde\x00", "t😀", nil},
		{"latin 1 stays", "t\xe4", "t\xe4", nil},
		{"odd", "\xff\xfet\x00a", "", text.ErrUTF16},
		{"half a character", "\xff\xfe\x3d\xd8", "", text.ErrUTF16},
	} {
		got, err := text.UTF8([]byte(c.file))
		if string(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, same := range []string{"", "kitchen, 2nd floor", "über", "می\u200cخواهم", "क्\u200dष", "👩🏽\u200d🚒", "한국어　공백", "a\u00a0b", "\ufffd"} {
		if got := text.Printable(same); got != same || !text.Writable(same) {
			t.Errorf("%q became %q", same, got)
		}
	}
	for s, want := range map[string]string{
		"\x1b[2J": `\x1b[2J`, "a\u009bb": `a\u009bb`, "a\rb\nc\td\x7f": `a\x0db\x0ac\x09d\x7f`, "\u202egnp": `\u202egnp`,
		"a\u2066b": `a\u2066b`, "a\u2028": `a\u2028`, "\ufeffa": `\ufeffa`, "\xff": `\xff`, "\U000e0041": `\U000e0041`,
		"\u200dab": `\u200dab`, "a\u200d": `a\u200d`, "a\u200d b": `a\u200d b`, "a\u00adb": `a\u00adb`,
	} {
		if got := text.Printable(s); got != want || text.Writable(s) {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
}

func TestCSV(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain": "plain", "a b": "a b", "5-3": "5-3", `a "b", c`: `"a ""b"", c"`, "1+1=2": "1+1=2", "a\nb": "\"a\nb\"",
		"=1": "'=1", "+1": "'+1", "-1": "'-1", "@a": "'@a", "\t=1": "\"'\t'=1\"", "\r=1": `'\x0d'=1`, "\n=1": "\"'\n'=1\"", "\n": "\"'\n\"",
		"\x00=1": `'\x00=1`, "\x00": `'\x00`, "＝1": "'＝1", "＋1": "'＋1", "－1": "'－1", "＠1": "'＠1", ";=1": `"';'=1"`, ";": `"';"`,
		" =1": "' =1", "\u00a0=1": "'\u00a0=1", "\ufeff=1": `'\ufeff=1`, `"=1`: `"'""=1"`, "a;=1": `"a;'=1"`, "a;\"=1": `"a;'""=1"`, "a\n@b": "\"a\n'@b\"",
		"a\t+b": "\"a\t'+b\"", "\x1b[31m=1": `\x1b[31m=1`, "\u202ea": `\u202ea`, "\xff": `\xff`,
	} {
		if got := string(text.AppendCSV([]byte("x,"), s)); got != "x,"+want {
			t.Errorf("%q became %s, want x,%s", s, got, want)
		}
	}
}

// TestWriter cuts texts at every byte.
func TestWriter(t *testing.T) {
	const file = "temperature\t21 °C\n한국\x1b[2J\u202e\r\n"
	const want = "temperature\t21 °C\n한국\\x1b[2J\\u202e\\x0d\n"
	for cut := range len(file) {
		var b strings.Builder
		w := text.NewWriter(&b)
		for _, part := range []string{file[:cut], file[cut:]} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		if b.String() != want {
			t.Errorf("cut at %d: %q", cut, b.String())
		}
	}
}

// FuzzText has any text shown: a terminal obeys none of it, and no spreadsheet finds a formula, whatever it takes for a
// separator and whether it sees the quotes or not.
func FuzzText(f *testing.F) {
	for _, s := range []string{"plain", "=1", ";=1", "\"\n\x00=", "a\xff\u202e", "می\u200cخواهم", "\t \r＝", `";"=`, "\ufeff;\u200d-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		unprintable := func(r rune) bool { return !unicode.IsGraphic(r) && r != '\u200c' && r != '\u200d' }
		if p := text.Printable(s); !utf8.ValidString(p) || strings.ContainsFunc(p, unprintable) {
			t.Errorf("%q became %q", s, p)
		}
		if utf8.ValidString(s) && text.Printable(text.Printable(s)) != text.Printable(s) {
			t.Errorf("%q is not the same twice", s)
		}
		field := string(text.AppendCSV(nil, s))
		if strings.ContainsFunc(field, func(r rune) bool { return unprintable(r) && r != '\n' && r != '\t' }) {
			t.Errorf("%q became the field %q", s, field)
		}
		record, err := csv.NewReader(strings.NewReader("time," + field + ",unit\n")).Read()
		if err != nil || len(record) != 3 || record[0] != "time" || record[2] != "unit" {
			t.Fatalf("%q became %q: %q, %v", s, field, record, err)
		}
		cells := strings.FieldsFunc(field, func(r rune) bool { return strings.ContainsRune(";\t\n", r) })
		for _, cell := range append(cells, record[1]) {
			cell = strings.TrimLeft(strings.TrimSpace(cell), "\" \u00a0\u3000")
			if r, _ := utf8.DecodeRuneInString(cell); cell != "" && strings.ContainsRune("=+-@＝＋－＠", r) {
				t.Errorf("%q became %q, which has the cell %q", s, field, cell)
			}
		}
	})
}

// FuzzUTF8 has small and large files read: both ways agree.
func FuzzUTF8(f *testing.F) {
	for _, s := range []string{"", "plain", "\xef\xbb\xbfmarked", "\xff\xfet\x00", "\xfe\xff\xd8\x3d\xde\x00", "\xff\xfe\x3d\xd8", "\xff\xfe\xfd\xff", "\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		small, err := text.UTF8(file)
		large, readErr := io.ReadAll(text.NewReader(bytes.NewReader(file)))
		if readErr != nil {
			t.Fatal(readErr)
		}
		if err == nil && !bytes.Equal(small, large) {
			t.Errorf("%q is %q and %q", file, small, large)
		}
		if err != nil && !bytes.HasPrefix(file, []byte("\xff\xfe")) && !bytes.HasPrefix(file, []byte("\xfe\xff")) {
			t.Errorf("%q: %v", file, err)
		}
	})
}
