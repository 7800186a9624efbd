package firmwaresim

import (
	"fmt"
	"math"
	"strconv"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// deviceBooks are what a device knows of its own frames at the end.
type deviceBooks struct {
	created  uint64        // frames, numbered from 1
	sent     uint64        // transmissions
	firsts   uint64        // frames transmitted at least once
	connects uint64        // connections
	acked    device.SeqSet // frames acknowledged while the device still had them
	lost     device.SeqSet // frames overwritten before they were acknowledged
}

// maxComplaints is how many disagreements of one device are written out.
const maxComplaints = 5

// ledger compares what a hub gives back of one device with the device's script and books, row by row: it remembers
// nothing that grows. Rows come in time order, which is the order of the script.
type ledger struct {
	script *script
	books  *deviceBooks

	last   int64  // place of the last row in the script; -1 before the first
	frame  uint64 // the one being read; 0 before the first
	values int    // rows of that frame

	stored    uint64 // frames found
	readings  uint64 // rows found
	rejected  uint64 // frames that only a rejection explains
	lost      uint64 // frames that only an overwritten buffer explains
	ambiguous uint64 // broken frames that may have been either

	found      uint64 // disagreements
	complaints []string
}

func newLedger(s *script, b *deviceBooks) *ledger { return &ledger{script: s, books: b, last: -1} }

func (l *ledger) complain(format string, args ...any) {
	l.found++
	if len(l.complaints) < maxComplaints {
		l.complaints = append(l.complaints, fmt.Sprintf(format, args...))
	}
}

// row compares one row that the hub gave back.
func (l *ledger) row(r reading) {
	l.readings++
	seq, sample, ok := l.script.locate(r.time)
	if !ok || seq > l.books.created {
		l.complain("a row at %d µs that was never sent", r.time)
		return
	}
	channel := -1
	for i := range l.script.schema.Channels {
		if l.script.schema.Channels[i].Name == r.channel {
			channel = i
		}
	}
	if channel < 0 {
		l.complain("frame %d: a channel %q that was never sent", seq, r.channel)
		return
	}
	want, ok := l.script.value(seq, sample, channel)
	switch {
	case !ok:
		l.complain("frame %d, sample %d: %s has a value that was never sent", seq, sample, r.channel)
		return
	case !sameValue(want, r.value):
		l.complain("frame %d, sample %d: %s is %q, sent was %s", seq, sample, r.channel, r.value, want.AppendText(nil))
	}
	place := (int64(seq)*scriptSamples+int64(sample))*int64(len(l.script.schema.Channels)) + int64(channel)
	if place <= l.last {
		l.complain("frame %d, sample %d: %s twice or out of order", seq, sample, r.channel)
		return
	}
	l.last = place
	if seq != l.frame {
		l.endFrame(seq)
	}
	l.values++
}

// endFrame checks the frame that is complete now, and all frames between it and the next one that has rows.
func (l *ledger) endFrame(next uint64) {
	if l.frame > 0 {
		l.stored++
		if l.script.corrupt(l.frame) {
			l.complain("frame %d was sent broken and is stored", l.frame)
		}
		if want := l.script.readings(l.frame); l.values != want {
			l.complain("frame %d has %d readings, sent were %d", l.frame, l.values, want)
		}
	}
	for seq := l.frame + 1; seq < next; seq++ {
		l.absent(seq)
	}
	l.frame, l.values = next, 0
}

// absent finds the reason for which a frame is not stored.
func (l *ledger) absent(seq uint64) {
	overwritten := l.books.lost.Contains(seq)
	switch {
	case l.script.corrupt(seq) && overwritten:
		l.ambiguous++
	case l.script.corrupt(seq):
		l.rejected++
	case overwritten:
		l.lost++
	case l.books.acked.Contains(seq):
		l.complain("frame %d was acknowledged and is missing", seq)
	default:
		l.complain("frame %d is missing", seq)
	}
}

// close ends the rows and compares the books. It returns how many disagreements there are and the first of them.
func (l *ledger) close(hub hubBooks) (found uint64, complaints []string) {
	l.endFrame(l.books.created + 1)
	b := l.books
	if sum := hub.Frames + hub.Rejected + hub.Lost; sum != b.created {
		l.complain("created %d frames, but the hub has %d = %d stored + %d rejected + %d lost",
			b.created, sum, hub.Frames, hub.Rejected, hub.Lost)
	}
	if hub.Frames != l.stored {
		l.complain("the hub says it stored %d frames and gives back %d", hub.Frames, l.stored)
	}
	if hub.Readings != l.readings {
		l.complain("the hub says it stored %d readings and gives back %d", hub.Readings, l.readings)
	}
	if hub.Rejected < l.rejected || hub.Rejected > l.rejected+l.ambiguous {
		l.complain("the hub rejected %d frames, broken were %d", hub.Rejected, l.rejected+l.ambiguous)
	}
	if hub.Lost < l.lost || hub.Lost > l.lost+l.ambiguous {
		l.complain("the hub counts %d frames as lost, missing with a reason are %d", hub.Lost, l.lost+l.ambiguous)
	}
	if hub.Holes != 0 {
		l.complain("the hub still waits for %d frames", hub.Holes)
	}
	if repeats := b.sent - b.firsts; hub.Duplicates > repeats {
		l.complain("the hub dropped %d duplicates, sent again were %d", hub.Duplicates, repeats)
	}
	arrived := hub.Frames + hub.Rejected + hub.Duplicates
	switch {
	case arrived > b.sent:
		l.complain("%d frames arrived, only %d were sent", arrived, b.sent)
	case b.connects == 1 && arrived != b.sent:
		l.complain("%d frames were sent over one connection, %d arrived", b.sent, arrived)
	}
	return l.found, l.complaints
}

// readings is how many values the frame has.
func (s *script) readings(seq uint64) int {
	n := 0
	for i := range s.samples(seq) {
		for c := range s.schema.Channels {
			if _, ok := s.value(seq, i, c); ok {
				n++
			}
		}
	}
	return n
}

// sameValue compares a value with the text of one. It reads the text by itself, rather than writing the value with the
// code that the hub uses too.
func sameValue(want device.Value, text string) bool {
	switch want.Type {
	case device.Bool:
		return text == strconv.FormatBool(want.Bits == 1)
	case device.Int:
		d, ok := parseDecimal(text)
		raw, fits := d.raw(int(want.Scale))
		return ok && fits && raw == int64(want.Bits)
	case device.Float32, device.Float64:
		size := 64
		if want.Type == device.Float32 {
			size = 32
		}
		got, err := strconv.ParseFloat(text, size)
		sent := math.Float64frombits(want.Bits)
		return err == nil && (math.Float64bits(got) == want.Bits || math.IsNaN(got) && math.IsNaN(sent))
	default:
		return text == want.Text
	}
}
