package render

import (
	"fmt"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// ReadingsTable renders readings for people: one a line, in columns. Widths come from the schema, because the readings are not
// known when the first line is printed.
type ReadingsTable struct {
	device, channel, unit int // widths
	value                 []byte
}

const valueWidth = 14

// NewReadingsTable renders the readings of a device with this schema.
func NewReadingsTable(id string, s *device.Schema) *ReadingsTable {
	t := &ReadingsTable{device: max(len("DEVICE"), len(id)), channel: len("CHANNEL"), unit: len("UNIT")}
	for _, ch := range s.Channels {
		t.channel = max(t.channel, utf8.RuneCountInString(text.Printable(ch.Name)))
		t.unit = max(t.unit, utf8.RuneCountInString(text.Printable(ch.Unit)))
	}
	return t
}

// Begin appends the names of the columns.
func (t *ReadingsTable) Begin(dst []byte) []byte {
	return fmt.Appendf(dst, "%-*s  %-*s  %-*s  %*s  UNIT\n", len(Time), "TIME", t.device, "DEVICE", t.channel, "CHANNEL", valueWidth, "VALUE")
}

// Append appends a line.
func (t *ReadingsTable) Append(dst []byte, r *history.Reading) []byte {
	t.value = t.value[:0]
	if r.Channel.Type == device.String { // quoted: a device must not be able to write control characters to somebody's terminal
		t.value = fmt.Appendf(t.value, "%q", r.Value.Text)
	} else {
		t.value = r.Value.AppendText(t.value)
	}
	dst = r.Time.UTC().AppendFormat(dst, Time)
	dst = fmt.Appendf(dst, "  %-*s  %-*s  %*s", t.device, r.Device, t.channel, text.Printable(r.Channel.Name), valueWidth, t.value)
	unit, note := text.Printable(r.Channel.Unit), qualityNote(r.Quality)
	switch {
	case note != "":
		dst = fmt.Appendf(dst, "  %-*s  (%s)", t.unit, unit, note)
	case unit != "":
		dst = fmt.Appendf(dst, "  %s", unit)
	}
	return append(dst, '\n')
}

// End appends nothing.
func (t *ReadingsTable) End(dst []byte) []byte { return dst }

// qualityNote says what is to be known of a reading's time, if there is something.
func qualityNote(q tail.Quality) string {
	switch q {
	case tail.QualityConverted:
		return "time since boot, converted"
	case tail.QualityReceived:
		return "time of receipt"
	case tail.QualityDoubtful:
		return "clock doubtful"
	}
	return ""
}
