package firmwaresim

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// utf16File writes a text as spreadsheets do that save "Unicode text".
func utf16File(text string, mark bool) string {
	if mark {
		text = "\ufeff" + text
	}
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		b = append(b, byte(unit), byte(unit>>8))
	}
	return string(b)
}

// TestFilesOfOthers reads what programs and people in several countries write, and what each value is afterwards.
func TestFilesOfOthers(t *testing.T) {
	const german = "t;Vorlauf;Pumpe\n2024-03-01 10:00:00;48,7;1\n2024-03-01 10:01:00;1.048,75;0\n"
	const germanRows = "2024-03-01T10:00:00Z Vorlauf 48.7\n2024-03-01T10:00:00Z Pumpe 1\n2024-03-01T10:01:00Z Vorlauf 1048.75\n2024-03-01T10:01:00Z Pumpe 0\n"
	one := func(at string) string { return at + " v 1.5\n" }
	for _, c := range []struct {
		name, file string
		o          TableOptions
		want       string
	}{
		{"decimal commas", german, TableOptions{}, germanRows},
		{"UTF-16", utf16File(german, true), TableOptions{}, germanRows},
		{"UTF-16 without a mark", utf16File(german, false), TableOptions{}, germanRows},
		{"UTF-16, big endian", "\xfe\xff\x00t\x00s\x00,\x00v\x00\n\x001\x007\x000\x000\x000\x000\x000\x000\x000\x000\x00,\x001\x00.\x005", TableOptions{}, one("2023-11-14T22:13:20Z")},
		{"the separator in its own line", "sep=;\r\n" + german, TableOptions{}, germanRows},
		{"bars", "time|v\n2024-03-01 10:00:00|1.5\n", TableOptions{}, one("2024-03-01T10:00:00Z")},
		{"commas in quotes", "time,v\n2024-03-01 10:00:00,\"1,5\"\n", TableOptions{}, one("2024-03-01T10:00:00Z")},
		{"English thousands", "time;v\n2024-03-01 10:00:00;1,234.5\n2024-03-01 10:00:01;12,345,678\n", TableOptions{}, "2024-03-01T10:00:00Z v 1234.5\n2024-03-01T10:00:01Z v 12345678\n"},
		{"French thousands", "time;v\n2024-03-01 10:00:00;1\u202f234,5\n2024-03-01 10:00:01;−12\u00a0345 678\n", TableOptions{}, "2024-03-01T10:00:00Z v 1234.5\n2024-03-01T10:00:01Z v -12345678\n"},
		{"Swiss thousands", "time;v\n2024-03-01 10:00:00;1'234.5\n", TableOptions{}, "2024-03-01T10:00:00Z v 1234.5\n"},
		{"three decimals, declared", "time;v\n2024-03-01 10:00:00;1.500\n", TableOptions{Decimal: "."}, one("2024-03-01T10:00:00Z")},
		{"thousands, declared", "time;v\n2024-03-01 10:00:00;1.500\n", TableOptions{Decimal: ","}, "2024-03-01T10:00:00Z v 1500\n"},
		{"units", "time,v,w\n2024-03-01 10:00:00,1.5 °C,7kWh\n", TableOptions{}, "2024-03-01T10:00:00Z v 1.5\n2024-03-01T10:00:00Z w 7\n"},
		{"texts", "time,v,s\n2024-03-01 10:00:00,1.5,open\n", TableOptions{}, one("2024-03-01T10:00:00Z") + "2024-03-01T10:00:00Z s open\n"},
		{"texts, declared", "time,v,s\n2024-03-01 10:00:00,1.5,10.0.0.1\n", TableOptions{Text: []string{"s"}}, one("2024-03-01T10:00:00Z") + "2024-03-01T10:00:00Z s 10.0.0.1\n"},
		{"left out, declared", "time,v,s\n2024-03-01 10:00:00,1.5,10.0.0.1\n", TableOptions{Skip: []string{"s"}}, one("2024-03-01T10:00:00Z")},
		{"one of two times left out", "a,b,v\n2024-03-01 10:00:00,2024-03-01 10:00:02,1.5\n", TableOptions{Skip: []string{"b"}}, one("2024-03-01T10:00:00Z")},
		{"a word for nothing", "time,v\n2024-03-01 10:00:00,1.5\n2024-03-01 10:00:01,n/a\n", TableOptions{Missing: []string{"n/a"}}, one("2024-03-01T10:00:00Z")},
		{"Windows", "time;v \xb0C\n2024-03-01 10:00:00;1,5\n", TableOptions{Encoding: "windows-1252"}, "2024-03-01T10:00:00Z v °C 1.5\n"},
		{"Korea", "\xbd\xc3\xb0\xa3;\xbf\xc2\xb5\xb5\n2024-03-01 10:00:00;1.5\n", TableOptions{Encoding: "EUC-KR"}, "2024-03-01T10:00:00Z 온도 1.5\n"},

		{"days as numbers", "date,v\n20240301,1.5\n", TableOptions{}, one("2024-03-01T00:00:00Z")},
		{"compact times", "time,v\n20240301100000,1.5\n", TableOptions{}, one("2024-03-01T10:00:00Z")},
		{"compact minutes", "time,v\n202403011000,1.5\n", TableOptions{}, one("2024-03-01T10:00:00Z")},
		{"compact hours, declared", "time,v\n2024030110,1.5\n", TableOptions{TimeLayout: "2006010215"}, one("2024-03-01T10:00:00Z")},
		{"seconds since 1970, declared", "time,v\n2024030110,1.5\n", TableOptions{TimeLayout: "unix"}, one("2034-02-20T06:35:10Z")},
		{"serial days", "time;v\n45352,416667;1,5\n", TableOptions{}, one("2024-03-01T10:00:00Z")},
		{"serial days under a short name", "t;Vorlauf\n45352,5;48,7 °C\n", TableOptions{}, "2024-03-01T12:00:00Z Vorlauf 48.7\n"},
		{"serial days with ms", "time,v\n45352.4166678241,1.5\n", TableOptions{}, one("2024-03-01T10:00:00.1Z")},
		{"serial days of 1904", "time,v\n43890.5,1.5\n", TableOptions{TimeLayout: "excel-1904"}, one("2024-03-01T12:00:00Z")},
		{"day and hour", "date,hour,v\n2024-03-01,9,1.5\n2024-03-01,24,1.5\n", TableOptions{}, one("2024-03-01T09:00:00Z") + one("2024-03-02T00:00:00Z")},
		{"day and clock", "Datum;Uhrzeit;v\n01.03.2024;9:30;1,5\n01.03.2024;10:00;1,5\n", TableOptions{}, one("2024-03-01T09:30:00Z") + one("2024-03-01T10:00:00Z")},
		{"serial day and clock", "date,time,v\n45352,10:00:00.5,1.5\n45352,10:00:01,1.5\n", TableOptions{}, one("2024-03-01T10:00:00.5Z") + one("2024-03-01T10:00:01Z")},
		{"day and clock, declared", "a,b,v\n3/1/2024,10:00,1.5\n", TableOptions{TimeColumns: []string{"a", "b"}, TimeLayout: "1/2/2006 15:04"}, one("2024-03-01T10:00:00Z")},
		{"month and day, clear from a later row", "time,v\n3/1/2024 10:00,1.5\n3/31/2024 10:00,1.5\n", TableOptions{}, one("2024-03-01T10:00:00Z") + one("2024-03-31T10:00:00Z")},
		{"afternoon", "time,v\n12/31/2024 3:04 PM,1.5\n", TableOptions{}, one("2024-12-31T15:04:00Z")},
		{"leap second", "time,v\n2016-12-31T23:59:60Z,1.5\n2017-01-01T00:00:00Z,1.5\n", TableOptions{}, one("2017-01-01T00:00:00Z") + one("2017-01-01T00:00:00Z")},
		{"leap second in Seoul", "time,v\n2017-01-01 08:59:60.5,1.5\n", TableOptions{Zone: "Asia/Seoul"}, one("2017-01-01T00:00:00.5Z")},
		{"end of a day", "time,v\n2024-02-29 24:00,1.5\n", TableOptions{}, one("2024-03-01T00:00:00Z")},
		{"midnight is meant", "date,v\n2024-03-01,1.5\n2024-03-01,1.5\n", TableOptions{TimeLayout: "2006-01-02"}, one("2024-03-01T00:00:00Z") + one("2024-03-01T00:00:00Z")},
		{"zone", "time,v\n2024-03-01 10:00:00,1.5\n2024-07-01 10:00:00,1.5\n", TableOptions{Zone: "Europe/Berlin"}, one("2024-03-01T09:00:00Z") + one("2024-07-01T08:00:00Z")},
		{"offset", "time,v\n2024-03-01 10:00:00,1.5\n", TableOptions{Zone: "+09:00"}, one("2024-03-01T01:00:00Z")},
		{"abbreviation", "time,v\n2024-03-01 10:00:00 CET,1.5\n", TableOptions{TimeLayout: "2006-01-02 15:04:05 MST", Zone: ""}, ""},
		{"offset in hours", "time,v\n2024-03-01 10:00:00.5+01,1.5\n", TableOptions{}, one("2024-03-01T09:00:00.5Z")},
		{"UTC by name", "time,v\n2024-03-01 10:00:00 UTC,1.5\n", TableOptions{}, one("2024-03-01T10:00:00Z")},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A machine elsewhere reads the same.
			local := time.Local
			defer func() { time.Local = local }()
			for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York"} {
				var err error
				if time.Local, err = time.LoadLocation(zone); err != nil {
					t.Fatal(err)
				}
				table, err := ReadTable(strings.NewReader(c.file), c.o)
				if c.want == "" {
					if err == nil {
						t.Errorf("%s: accepted: %v", zone, table.Notes)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := dump(t, table, 10); got != c.want {
					t.Errorf("%s: got\n%swant\n%s(%v, %v)", zone, got, c.want, table.About, table.Notes)
				}
			}
		})
	}
}

// TestNothingIsGuessed has files that can be read in two ways, or not at all: the error names the flag that decides.
func TestNothingIsGuessed(t *testing.T) {
	row := func(s string) string { return "time;v\n2024-03-01 10:00:00;" + s + "\n" }
	for _, c := range []struct {
		name, file string
		o          TableOptions
		want       string
	}{
		{"point or thousands", row("1.234"), TableOptions{}, "--decimal"},
		{"comma or thousands", row("12,345"), TableOptions{}, "--decimal"},
		{"both signs", row("1.5\n2024-03-01 10:00:01;1,5"), TableOptions{}, "line 3"},
		{"Indian thousands", row("12,34,567"), TableOptions{}, "--text"},
		{"thousands in the wrong places", row("1.5\n2024-03-01 10:00:01;1,23"), TableOptions{Decimal: "."}, "line 3"},
		{"two units", row("1 W\n2024-03-01 10:00:01;1 kW"), TableOptions{}, "line 3"},
		{"a unit sometimes", row("1 W\n2024-03-01 10:00:01;1"), TableOptions{}, "another unit"},
		{"text among numbers", row("1\n2024-03-01 10:00:01;broken"), TableOptions{}, "--missing"},
		{"versions", row("1.2.3"), TableOptions{}, "--text"},
		{"negative in brackets", row("(5)"), TableOptions{}, "--text"},
		{"below what can be measured", row("<0.1"), TableOptions{}, "--text"},
		{"other times", "time,v,received\n2024-03-01 10:00:00,1.5,2024-03-01 10:00:02\n", TableOptions{}, "--skip"},
		{"two columns of times", "a,b,v\n2024-03-01 10:00:00,2024-03-01 10:00:02,1\n", TableOptions{}, "--time-column"},
		{"hours or seconds", "time,v\n2024030110,1\n", TableOptions{}, "--time-layout"},
		{"small numbers", "time,v\n1,1\n2,1\n", TableOptions{}, "--time-layout"},
		{"day or month", "time,v\n01/01/2024 10:00,1\n01/02/2024 10:00,1\n", TableOptions{}, "--time-layout"},
		{"all at midnight", "date,v\n2024-03-01,1\n2024-03-01,2\n", TableOptions{}, "--time-column"},
		{"serial days at midnight", "date,v\n45352,1\n45352,2\n", TableOptions{}, "--time-column"},
		{"two columns of hours", "date,a,b,v\n2024-03-01,10:00,11:00,1\n", TableOptions{}, "--time-column"},
		{"two ways to write times", "time,v\n2024-03-01 10:00:00,1\n01.03.2024 10:00,1\n", TableOptions{}, "line 3"},
		{"no such leap second", "time,v\n2024-03-01 10:00:60,1\n", TableOptions{}, "leap second"},
		{"no such hour", "time,v\n2024-03-31 02:30:00,1\n", TableOptions{Zone: "Europe/Berlin"}, "skipped"},
		{"an hour twice", "time,v\n2024-10-27 02:30:00,1\n", TableOptions{Zone: "Europe/Berlin"}, "--zone takes offsets"},
		{"a zone for times that have one", "time,v\n2024-03-01T10:00:00Z,1\n", TableOptions{Zone: "Europe/Berlin"}, "leave out --zone"},
		{"the zone of this machine", "time,v\n2024-03-01 10:00:00,1\n", TableOptions{Zone: "Local"}, "--zone"},
		{"no such zone", "time,v\n2024-03-01 10:00:00,1\n", TableOptions{Zone: "Mars"}, "--zone"},
		{"Latin 1", row("1\xb0C"), TableOptions{}, "--encoding"},
		{"zeros", "time,v\n2024-03-01 10:00:00,1\x00\n", TableOptions{}, "--encoding"},
		{"wrong encoding", utf16File(row("1"), false) + "x", TableOptions{Encoding: "utf-16be"}, "--separator"},
		{"no such encoding", row("1"), TableOptions{Encoding: "ebcdic"}, "--encoding"},
		{"one column", "time\n2024-03-01 10:00:00\n", TableOptions{}, "--separator"},
		{"two separators", "a;b,c\n1;2,3\n", TableOptions{}, "--separator"},
		{"no separator", row("1"), TableOptions{Separator: "x"}, "--separator"},
		{"no sign", row("1"), TableOptions{Decimal: "x"}, "--decimal"},
		{"no column to leave out", row("1"), TableOptions{Skip: []string{"w"}}, `"w"`},
		{"three columns of times", row("1"), TableOptions{TimeColumns: []string{"time", "time", "v"}}, "3 columns"},
		{"a long text", row(strings.Repeat("long ", 300)), TableOptions{}, "--skip"},
		{"long texts", "time,a,b,c,d,e,f,g,h,i\n2024-03-01 10:00:00" + strings.Repeat(","+strings.Repeat("x", 1000), 9) + "\n", TableOptions{}, "--skip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := ReadTable(strings.NewReader(c.file), c.o)
			if err == nil {
				t.Fatalf("accepted: %v %v", table.About, table.Notes)
			}
			text := err.Error()
			if p, ok := errors.AsType[*Problem](err); ok {
				text += " " + p.Hint
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("%q does not say %q", text, c.want)
			}
		})
	}
}

// TestTimeForms holds the forms to the bits there are for them.
func TestTimeForms(t *testing.T) {
	if n := len(timeForms()); n > 64 {
		t.Errorf("%d forms", n)
	}
}

// TestSaidBeforehand reads what people are told before a file is played.
func TestSaidBeforehand(t *testing.T) {
	file := "t;Vorlauf;Pumpe;Ort;leer\x1b;Uhr\n2024-03-01 10:00:00;48,7 °C;1;Keller;;\n2016-12-31 23:59:60;-3 °C;0;Keller;;x\n"
	table, err := ReadTable(strings.NewReader(utf16File(file, true)), TableOptions{Skip: []string{"Uhr"}})
	if err != nil {
		t.Fatal(err)
	}
	about := []string{
		"UTF-16LE, separated by semicolons, decimal comma", "from 2017-01-01T00:00:00Z to 2024-03-01T10:00:00Z",
		"leap seconds, :60, are played as the second after: 1",
	}
	notes := []string{
		"t: time, 2006-01-02 15:04:05, taken as UTC: no zone is named (--zone)", "Vorlauf: decimal, 1 place, exact, in °C", "Pumpe: integer", "Ort: text",
		`leer\x1b: no values, so there is nothing to play`, "Uhr: left out, as asked for",
	}
	if !slices.Equal(table.About, about) || !slices.Equal(table.Notes, notes) {
		t.Errorf("%q, %q", table.About, table.Notes)
	}
	if ch := table.Schema.Channels; len(ch) != 3 || ch[0].Unit != "Cel" || ch[2].Type != device.String {
		t.Errorf("%+v", ch)
	}
}
