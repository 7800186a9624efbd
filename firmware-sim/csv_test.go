package firmwaresim

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func readTable(t *testing.T, file string) *Table {
	t.Helper()
	table, err := ReadTable(strings.NewReader(file), TableOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// columns is the option for a column of times; empty: it is to be found.
func columns(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// dump gives back what a table would send, one line for each present value.
func dump(t *testing.T, table *Table, samples int) string {
	t.Helper()
	var b strings.Builder
	var encoded []byte
	var parsed device.Data
	err := table.frames(samples, func(d *device.Data) error {
		d.Seq++
		var err error
		if encoded, err = device.AppendData(encoded[:0], d, table.Schema); err != nil {
			return err
		}
		if err := device.ParseData(encoded, table.Schema, &parsed); err != nil {
			return err
		}
		for i, at := range parsed.Times {
			for c := range parsed.Columns {
				ch := &table.Schema.Channels[c]
				if v, ok := parsed.Columns[c].Value(i, ch); ok {
					fmt.Fprintf(&b, "%s %s %s\n", time.UnixMicro(at).UTC().Format(time.RFC3339Nano), ch.Name, v.AppendText(nil))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestColumnTypes(t *testing.T) {
	for _, c := range []struct {
		name, cells string // one cell a line
		typ         device.ValueType
		scale       int8
		back        string // as the hub gives them back; empty: as they are
	}{
		{"words", "true\nFALSE\nTrue", device.Bool, 0, "true\nfalse\ntrue"},
		{"zeros and ones stay numbers", "0\n1\n1", device.Int, 0, ""},
		{"integers", "-5\n0\n9223372036854775807\n-9223372036854775808", device.Int, 0, ""},
		{"large counters", "9007199254740993", device.Int, 0, ""},
		{"integers written as decimals", "1.0\n2.00\n3e2", device.Int, 0, "1\n2\n300"},
		{"decimals", "23.7\n-23.7225\n24", device.Int, -4, ""},
		{"eight places", "0.00476416\n0.0047", device.Int, -8, ""},
		{"no leading zero", ".5\n-.25\n+1.", device.Int, -2, "0.5\n-0.25\n1"},
		{"exponents that stay small", "4.5e-3\n1E1", device.Int, -4, "0.0045\n10"},
		{"eighteen digits", "0.123456789012345678", device.Int, -18, ""},
		{"nineteen digits", "1.123456789012345678\n0.5", device.Float64, 0, "1.1234567890123457\n0.5"},
		{"beyond 64 bits", "18446744073709551615", device.Float64, 0, "18446744073709552000"},
		{"wide range", "1e-300\n1e300", device.Float64, 0, "1e-300\n1e+300"},
		{"not finite", "1.5\nNaN\n-inf", device.Float64, 0, "1.5\nNaN\n-Inf"},
		{"zero with an exponent", "0e999\n1", device.Int, 0, "0\n1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var file strings.Builder
			file.WriteString("time,v\n")
			for i, cell := range strings.Split(c.cells, "\n") {
				fmt.Fprintf(&file, "%d,%s\n", 1_700_000_000+i, cell)
			}
			table := readTable(t, file.String())
			ch := table.Schema.Channels[0]
			if ch.Type != c.typ || ch.Scale != c.scale {
				t.Fatalf("type %v scale %d, want %v %d (%v)", ch.Type, ch.Scale, c.typ, c.scale, table.Notes)
			}
			want := c.back
			if want == "" {
				want = c.cells
			}
			var got []string
			for line := range strings.Lines(dump(t, table, 2)) {
				got = append(got, strings.Fields(line)[2])
			}
			if diff := cmp.Diff(strings.Split(want, "\n"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNotesTellOfRounding(t *testing.T) {
	const file = "time,exact,rounded\n1700000000,1e-30,0.5\n1700000001,0.25,1.00000000000000000001\n"
	table := readTable(t, file)
	want := []string{"time: time, unix", "exact: float64", "rounded: float64, rounded (line 3 has more digits)"}
	if diff := cmp.Diff(want, table.Notes); diff != "" {
		t.Error(diff)
	}
}

func TestTableKeepsRows(t *testing.T) {
	const file = "\ufefftime;a;b;where\n" +
		"2015-02-02 14:19:00;1;true;hall\n" +
		"2015-02-02 14:19:00;2;;hall\n" + // a repeated time, an absent value
		"2015-02-02 14:18:30.000250;;false;\n" + // a step back
		"2015-02-02 14:18:30.000250;4;true;hall\n"
	const want = `2015-02-02T14:19:00Z a 1
2015-02-02T14:19:00Z b true
2015-02-02T14:19:00Z where hall
2015-02-02T14:19:00Z a 2
2015-02-02T14:19:00Z where hall
2015-02-02T14:18:30.00025Z b false
2015-02-02T14:18:30.00025Z a 4
2015-02-02T14:18:30.00025Z b true
2015-02-02T14:18:30.00025Z where hall
`
	table := readTable(t, file)
	for _, samples := range []int{1, 2, 3, 4, 100} {
		if diff := cmp.Diff(want, dump(t, table, samples)); diff != "" {
			t.Errorf("%d rows a frame: %s", samples, diff)
		}
	}
	if table.Rows != 4 || len(table.Schema.Channels) != 3 {
		t.Errorf("%d rows, %d channels", table.Rows, len(table.Schema.Channels))
	}
	if got := table.Notes[3]; got != "where: text" {
		t.Errorf("note %q", got)
	}
}

func TestTimeColumnAndLayout(t *testing.T) {
	const at = "2015-02-02T14:19:00Z"
	for _, c := range []struct{ name, file, column, layout, want string }{
		{"by name", "v,Timestamp\n1,2015-02-02 14:19:00", "", "", at},
		{"by content", "v,when\n1,2015-02-02 14:19:00", "", "", at},
		{"declared column", "time,when\n5,2015-02-02 14:19:00", "when", "", at},
		{"RFC 3339", "time,v\n2015-02-02T15:19:00+01:00,1", "", "", at},
		{"T without zone", "time,v\n2015-02-02T14:19:00,1", "", "", at},
		{"zone behind a space", "time,v\n2015-02-02 15:19:00 +0100,1", "", "", at},
		{"without seconds", "time,v\n2015-02-02 14:19,1", "", "", at},
		{"slashes", "time,v\n2015/02/02 14:19:00,1", "", "", at},
		{"dots", "time,v\n02.02.2015 14:19:00,1", "", "", at},
		{"unix", "ts,v\n1422886740,1", "", "", at},
		{"unix with a fraction", "ts,v\n1422886740.25,1", "", "", "2015-02-02T14:19:00.25Z"},
		{"unix ms", "ts,v\n1422886740000,1", "", "", at},
		{"unix µs", "ts,v\n1422886740000001,1", "", "", "2015-02-02T14:19:00.000001Z"},
		{"unix ns", "ts,v\n1422886740000001999,1", "", "", "2015-02-02T14:19:00.000001Z"},
		{"early unix ms, declared", "ts,v\n1500,1", "", "unix-ms", "1970-01-01T00:00:01.5Z"},
		{"declared layout", "when,v\n02/03/2015 2:19 PM,1", "when", "01/02/2006 3:04 PM", "2015-02-03T14:19:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := ReadTable(strings.NewReader(c.file), TableOptions{TimeColumns: columns(c.column), TimeLayout: c.layout})
			if err != nil {
				t.Fatal(err)
			}
			if got, _, _ := strings.Cut(dump(t, table, 10), " "); got != c.want {
				t.Errorf("%s, want %s (%v)", got, c.want, table.Notes)
			}
		})
	}
}

func TestTableRefuses(t *testing.T) {
	for _, c := range []struct{ name, file, column, want string }{
		{"empty", "", "", "empty"},
		{"no rows", "time,v\n", "", "no rows"},
		{"no header", "2015-02-02 14:19:00,1\n2015-02-02 14:20:00,2\n", "", "name the columns"},
		{"text among numbers", "time,v\n2015-02-02 14:19:00,1\n2015-02-02 14:20:00,n/a\n", "", `line 3: column "v": "n/a"`},
		{"word among numbers", "time,v\n2015-02-02 14:19:00,1\n2015-02-02 14:20:00,true\n", "", "line 3"},
		{"hexadecimal", "time,v\n2015-02-02 14:19:00,1\n2015-02-02 14:20:00,0x10\n", "", "line 3"},
		{"too large", "time,v\n2015-02-02 14:19:00,1\n2015-02-02 14:20:00,1e999\n", "", "line 3"},
		{"a bad time", "time,v\n2015-02-02 14:19:00,1\n2015-02-30 14:20:00,1\n", "", "line 3"},
		{"no time", "time,v\n2015-02-02 14:19:00,1\n,1\n", "", "line 3"},
		{"unknown layout", "time,v\n02/03/2015 2:19 PM,1\n", "", "--time-layout"},
		{"no time column", "a,b\n1,2\n", "", "no column of times"},
		{"no such column", "time,v\n2015-02-02 14:19:00,1\n", "when", `no column is named "when"`},
		{"short row", "time,v\n2015-02-02 14:19:00,1\n2015-02-02 14:20:00\n", "", "line 3"},
		{"long row", "time,v\n2015-02-02 14:19:00,1,2\n", "", "line 2"},
		{"same name", "time,v,v\n2015-02-02 14:19:00,1,2\n", "", `"v"`},
		{"only times", "time,v\n2015-02-02 14:19:00,\n", "", "no column holds"},
		{"long name", "time," + strings.Repeat("v", 65) + "\n2015-02-02 14:19:00,1\n", "", "schema"},
		{"year 12000", "ts,v\n0,1\n316516204800,1\n", "", "line 3"},
		{"endless line", "time,v\n2015-02-02 14:19:00," + strings.Repeat("1", 2<<20), "", "too long"},
		{"endless quote", "time,v\n2015-02-02 14:19:00,\"" + strings.Repeat("1\n", 2<<20), "", "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ReadTable(strings.NewReader(c.file), TableOptions{TimeColumns: columns(c.column)})
			if err == nil {
				t.Fatal("accepted")
			}
			text := err.Error()
			if p, ok := errors.AsType[*Problem](err); ok {
				text += " " + p.Hint
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("error %q, want one about %q", text, c.want)
			}
		})
	}
}

// The recordings come back equal to the text of their files, each value.
func TestRecordingsAreExact(t *testing.T) {
	names, err := fs.Glob(recordings, "data/occupancy/*.csv")
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	rows := 0
	for _, name := range names {
		file, err := recordings.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		table := readTable(t, string(file))
		rows += table.Rows
		for _, ch := range table.Schema.Channels {
			if ch.Type != device.Int {
				t.Errorf("%s: %s is of type %v", name, ch.Name, ch.Type)
			}
		}
		got := strings.Split(strings.TrimSpace(dump(t, table, samplesPerFrame(len(table.Schema.Channels), table.texts))), "\n")
		lines := strings.Split(strings.TrimSpace(string(file)), "\n")
		header := strings.Split(lines[0], ",")
		if want := (len(lines) - 1) * (len(header) - 1); len(got) != want {
			t.Fatalf("%s: %d values, want %d", name, len(got), want)
		}
		for i, line := range lines[1:] {
			cells := strings.Split(line, ",")
			at := strings.Replace(cells[0], " ", "T", 1) + "Z"
			for c := 1; c < len(cells); c++ {
				f := strings.Fields(got[i*(len(cells)-1)+c-1])
				if f[0] != at || f[1] != header[c] || !sameDecimal(f[2], cells[c]) {
					t.Fatalf("%s line %d: %v, want %s %s %s", name, i+2, f, at, header[c], cells[c])
				}
			}
		}
	}
	if rows != 20_560 {
		t.Errorf("%d rows", rows)
	}
}

func sameDecimal(a, b string) bool {
	x, ok1 := parseDecimal(a)
	y, ok2 := parseDecimal(b)
	return ok1 && ok2 && x == y
}

// Whatever the values, a frame of samplesPerFrame rows fits a message.
func TestSamplesPerFrame(t *testing.T) {
	for _, channels := range []int{1, 2, 6, 50, device.MaxChannels} {
		s := &device.Schema{}
		for i := range channels {
			s.Channels = append(s.Channels, device.Channel{ID: uint16(i), Name: fmt.Sprint("c", i), Type: device.Int})
		}
		n := samplesPerFrame(channels, 0)
		d := newFrame(s, n)
		d.Seq = 1 << 40
		for i := range n {
			d.Times[i] = []int64{firstTime, lastTime}[i%2]
			for c := range d.Columns {
				d.Columns[c].Bits[i] = uint64([]int64{math.MinInt64 / 2, math.MaxInt64 / 2}[i%2])
				d.Columns[c].Present = append(d.Columns[c].Present, true)
			}
		}
		message, err := device.AppendData(nil, d, s)
		if err != nil || len(message) > device.MaxMessage {
			t.Errorf("%d channels, %d rows: %d bytes, %v", channels, n, len(message), err)
		}
	}
}

// FuzzReadTable has anything read: what was accepted can be sent, row for row and value for value.
func FuzzReadTable(f *testing.F) {
	for _, file := range []string{
		"time,a,b\n2015-02-02 14:19:00,1,true\n2015-02-02 14:18:00,-2.50,\n", "ts;v\n1422886740.25;1e-3\n1422886741;NaN\n",
		"\ufefftime\tv\n2015-02-02T14:19:00+01:00\t\"1\"\n", "time,v\n1e11,18446744073709551615\n-5,9e18",
		"t;Vorlauf;Ort\n2024-03-01 10:00:00;1.048,7 °C;Keller\n", "date,hour,v\n20240301,24,1'234.5\n", "sep=;\ntime;v\n45352,416667;−1\n",
		utf16File("time,v\n2016-12-31 23:59:60,.5\n", true), "time,v\n12/31/2024 3:04 PM,+1.\n",
	} {
		f.Add(file, "", "")
	}
	f.Add("time,v\n2024-07-01 02:30,1.234\n", ",", "Europe/Berlin")
	f.Fuzz(func(t *testing.T, file, decimal, zone string) {
		table, err := ReadTable(strings.NewReader(file), TableOptions{Decimal: decimal, Zone: zone})
		if err != nil {
			return
		}
		cells := 0
		err = table.each(func(record []string, _ int) error {
			for i, cell := range record {
				if cell != "" && !slices.Contains(table.clock.columns, i) {
					cells++
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		rows, values := 0, 0
		err = table.frames(samplesPerFrame(len(table.Schema.Channels), table.texts), func(d *device.Data) error {
			rows += len(d.Times)
			for _, c := range d.Columns {
				for _, present := range c.Present {
					values += int(bit(present))
				}
			}
			d.Seq = 1
			_, err := device.AppendData(nil, d, table.Schema)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if rows != table.Rows || values != cells {
			t.Fatalf("%d rows with %d values sent, of %d with %d", rows, values, table.Rows, cells)
		}
	})
}
