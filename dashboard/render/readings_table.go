package render

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// Row is a reading as NDJSON has it.
type Row struct {
	Time        string          `json:"time"`
	Device      string          `json:"device"`
	Channel     string          `json:"channel"`
	Value       json.RawMessage `json:"value"`
	Unit        string          `json:"unit"`
	TimeQuality string          `json:"time_quality"`
}

// ReadingsTable renders readings for people: one a line, in columns.
type ReadingsTable struct{ device, channel, unit int } // widths

const valueWidth = 14

// NewReadingsTable begins a table with columns as wide as these rows need, because the readings are not known when the first line
// is printed.
func NewReadingsTable(rows []Row) *ReadingsTable {
	t := &ReadingsTable{device: len("DEVICE"), channel: len("CHANNEL"), unit: len("UNIT")}
	for i := range rows {
		t.device = max(t.device, len(rows[i].Device))
		t.channel = max(t.channel, utf8.RuneCountInString(text.Printable(rows[i].Channel)))
		t.unit = max(t.unit, utf8.RuneCountInString(text.Printable(rows[i].Unit)))
	}
	return t
}

// Begin appends the names of the columns.
func (t *ReadingsTable) Begin(dst []byte) []byte {
	return fmt.Appendf(dst, "%-*s  %-*s  %-*s  %*s  UNIT\n", len(Time), "TIME", t.device, "DEVICE", t.channel, "CHANNEL", valueWidth, "VALUE")
}

// qualityNotes say what is to be known of a reading's time.
var qualityNotes = map[string]string{
	"converted": "time since boot, converted", "received": "time of receipt", "doubtful": "clock doubtful",
}

// Row appends a line.
func (t *ReadingsTable) Row(dst []byte, r *Row) []byte {
	value := string(r.Value)
	var s string
	if len(r.Value) > 0 && r.Value[0] == '"' && json.Unmarshal(r.Value, &s) == nil {
		value = s // NaN or an infinity
		if s != "NaN" && s != "Infinity" && s != "-Infinity" {
			value = fmt.Sprintf("%q", s) // a device must not be able to write control characters to somebody's terminal
		}
	}
	dst = fmt.Appendf(dst, "%s  %-*s  %-*s  %*s", text.Printable(r.Time), t.device, text.Printable(r.Device), t.channel, text.Printable(r.Channel), valueWidth, value)
	unit, note := text.Printable(r.Unit), qualityNotes[r.TimeQuality]
	switch {
	case note != "":
		dst = fmt.Appendf(dst, "  %-*s  (%s)", t.unit, unit, note)
	case unit != "":
		dst = fmt.Appendf(dst, "  %s", unit)
	}
	return append(dst, '\n')
}
