package control

import (
	"fmt"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// table renders for people: one reading a line, in columns. Widths come from the schema, because the readings are not
// known when the first line is printed.
type table struct {
	name, unit int // widths
	value      []byte
}

const (
	tableTime  = "2006-01-02 15:04:05.000000"
	tableValue = 14 // width
)

func newTable(s *device.Schema) *table {
	t := &table{name: len("CHANNEL"), unit: len("UNIT")}
	for _, ch := range s.Channels {
		t.name = max(t.name, utf8.RuneCountInString(text.Printable(ch.Name)))
		t.unit = max(t.unit, utf8.RuneCountInString(text.Printable(ch.Unit)))
	}
	return t
}

func (t *table) begin(dst []byte) []byte {
	return fmt.Appendf(dst, "%-*s  %-*s  %*s  UNIT\n", len(tableTime), "TIME (UTC)", t.name, "CHANNEL", tableValue, "VALUE")
}

func (t *table) reading(dst []byte, r *history.Reading) []byte {
	dst = r.Time.UTC().AppendFormat(dst, tableTime)
	t.value = appendPrintable(t.value[:0], r)
	name, unit, note := text.Printable(r.Channel.Name), text.Printable(r.Channel.Unit), qualityNote(r.Quality)
	switch {
	case note != "":
		return fmt.Appendf(dst, "  %-*s  %*s  %-*s  (%s)\n", t.name, name, tableValue, t.value, t.unit, unit, note)
	case unit != "":
		return fmt.Appendf(dst, "  %-*s  %*s  %s\n", t.name, name, tableValue, t.value, unit)
	}
	return fmt.Appendf(dst, "  %-*s  %*s\n", t.name, name, tableValue, t.value)
}

func (t *table) end(dst []byte) []byte { return dst }

// appendPrintable quotes strings: a device must not be able to write control characters to somebody's terminal.
func appendPrintable(dst []byte, r *history.Reading) []byte {
	if r.Channel.Type == device.String {
		return fmt.Appendf(dst, "%q", r.Value.Text)
	}
	return r.Value.AppendText(dst)
}

// qualityNote says what is to be known of a reading's time, if there is something.
func qualityNote(q history.Quality) string {
	switch q {
	case history.QualityConverted:
		return "time since boot, converted"
	case history.QualityReceived:
		return "time of receipt"
	case history.QualityDoubtful:
		return "clock doubtful"
	}
	return ""
}
