package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type gauge struct {
	Name  string   `json:"name"`
	Level int      `json:"level"`
	Seen  millis   `json:"seen,omitempty"`
	Tags  []string `json:"tags,omitempty"`
}

// millis is a time as the API has it.
type millis int64

func (m millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m))
}

var noon = time.Date(2026, 2, 4, 12, 0, 0, 5e6, time.UTC)

var gaugeColumns = []Column[gauge]{
	{"name", func(g *gauge) any { return g.Name }},
	{"level", func(g *gauge) any { return Either{fmt.Sprint("at ", g.Level), g.Level} }},
	{"last seen", func(g *gauge) any { return Age(g.Seen.Time()) }},
	{"exactly", func(g *gauge) any { return Exact(g.Seen.Time()) }},
	{"time", func(g *gauge) any { return g.Seen.Time() }},
}

func TestList(t *testing.T) {
	gauges := []gauge{{Name: "=a,\x1b[2J", Level: -3, Seen: millis(noon.UnixMilli())}, {Name: "b", Seen: millis(noon.UnixMilli()), Tags: []string{"x"}}}
	for format, want := range map[string]string{
		FormatTable: `NAME        LEVEL  LAST SEEN  EXACTLY                   TIME
=a,\x1b[2J  at -3  LONGAGO  2026-02-04T12:00:00.005Z  2026-02-04T12:00:00Z
b           at 0   LONGAGO  2026-02-04T12:00:00.005Z  2026-02-04T12:00:00Z
`,
		FormatCSV: `name,level,last_seen,exactly,time
"'=a,\x1b[2J",-3,2026-02-04T12:00:00.005Z,2026-02-04T12:00:00.005Z,2026-02-04T12:00:00.005Z
b,0,2026-02-04T12:00:00.005Z,2026-02-04T12:00:00.005Z,2026-02-04T12:00:00.005Z
`,
		FormatJSON: `[
  {
    "name": "=a,\u001b[2J",
    "level": -3,
    "seen": "2026-02-04T12:00:00.005Z"
  },
  {
    "name": "b",
    "level": 0,
    "seen": "2026-02-04T12:00:00.005Z",
    "tags": [
      "x"
    ]
  }
]
`,
	} {
		want = strings.ReplaceAll(want, "LONGAGO", fmt.Sprintf("%-9s", Ago(noon, time.Now())))
		printed(t, want, func(w io.Writer) error { return List(w, format, gauges, gaugeColumns, "none") })
	}
	for format, want := range map[string]string{FormatTable: "none\n", FormatCSV: "name,level,last_seen,exactly,time\n", FormatJSON: "[]\n"} {
		printed(t, want, func(w io.Writer) error { return List(w, format, nil, gaugeColumns, "none") })
	}
}

// A list in pieces has its heading once, and JSON in lines.
func TestPages(t *testing.T) {
	columns := gaugeColumns[:2]
	for format, want := range map[string]string{
		FormatTable: "NAME  LEVEL\na     at 1\nb  at 2\n",
		FormatCSV:   "name,level\na,1\nb,2\n",
		FormatJSON:  `{"name":"a","level":1}` + "\n" + `{"name":"b","level":2}` + "\n",
	} {
		printed(t, want, func(w io.Writer) error {
			p := NewPages(w, format, columns)
			if err := p.Print([]gauge{{Name: "a", Level: 1}}); err != nil {
				return err
			}
			return p.Print([]gauge{{Name: "b", Level: 2}})
		})
	}
}

type inner struct {
	Set  time.Time       `json:"set"`
	Raw  json.RawMessage `json:"raw"`
	Void millis          `json:"void"`
	Data []byte          `json:"data"`
	Any  any             `json:"any"`
}

func TestRecord(t *testing.T) {
	record := struct {
		Gauge gauge  `json:"gauge"`
		Large uint64 `json:"large"`
		inner
		Open   bool     `json:"open"`
		Nobody *gauge   `json:"nobody"`
		Names  []string `json:"names"`
	}{Gauge: gauge{Name: "a\nb", Tags: []string{"x", "y"}}, Large: 1<<64 - 1, inner: inner{Set: noon, Raw: json.RawMessage(`"<>"`), Data: []byte("hi"), Any: map[string]any{"b": int64(1 << 62)}}}
	printed(t, `name,value
gauge.name,"a
b"
gauge.level,0
gauge.tags.0,x
gauge.tags.1,y
large,18446744073709551615
set,2026-02-04T12:00:00.005Z
raw,<>
data,aGk=
any.b,4611686018427387904
open,false
`, func(w io.Writer) error { return Record(w, FormatCSV, record, nil) })
	printed(t, `level  3
text   words over more than one line, because they are more than fit into
       eighty columns

CHANNEL
`, func(w io.Writer) error {
		return Record(w, FormatTable, record, func(table *Table) {
			table.Field("level", "%d", 3)
			table.Text("text", "words   over more than one line, because they are more than fit into eighty columns")
			table.Line("")
			table.Row("CHANNEL")
		})
	})
}

func printed(t *testing.T, want string, print func(io.Writer) error) {
	t.Helper()
	var out strings.Builder
	if err := print(&out); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Errorf("want -, got +\n%s", d)
	}
}

func TestWords(t *testing.T) {
	now := noon
	for got, want := range map[string]string{
		Ago(time.Time{}, now): "never", Ago(now.Add(-90*time.Minute), now): "1h ago", Ago(now.Add(time.Hour), now): "2026-02-04T13:00:00Z",
		Duration(49 * time.Hour): "2d", Bytes(3 << 19): "1.5 MiB", Bytes(1023): "1023 B", Grouped(1234567): "1,234,567",
		Plural(1, "record"): "1 record", Plural(2, "record"): "2 records",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
