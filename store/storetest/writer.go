package storetest

import (
	"strings"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// Writer sends frames of about 1 KiB of the device a.
type Writer struct {
	*ledger.Ingest
	Seq uint64 // of the frame sent last
	t   testing.TB
}

// TextSchema is that of a Writer.
var TextSchema = &device.Schema{Channels: []device.Channel{{ID: 1, Name: "text", Type: device.String}}}

// NewWriter begins a stream.
func NewWriter(t testing.TB, l *ledger.Ledger, stream uint64) *Writer {
	in := l.Ingest("a", stream, func() {})
	in.Schema(device.AppendControl(nil, TextSchema), TextSchema)
	return &Writer{Ingest: in, t: t}
}

// Send hands in so many frames.
func (w *Writer) Send(frames int) {
	w.t.Helper()
	text := []byte(strings.Repeat("x", device.MaxString))
	for range frames {
		w.Seq++
		d := &device.Data{Seq: w.Seq, Times: []int64{int64(w.Seq)}, Columns: []device.Column{
			{ID: 1, Type: device.String, Text: [][]byte{text}},
		}}
		message, err := device.AppendData(nil, d, TextSchema)
		if err != nil {
			w.t.Fatal(err)
		}
		if err := w.Frame(w.t.Context(), message, d, tail.Timing{}); err != nil {
			w.t.Fatal(err)
		}
	}
}
