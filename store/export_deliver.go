package store

import (
	"context"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

// deliver sends a batch, again and again until it is delivered, and records that. It returns false if ctx ended first.
func (t *exportTail) deliver(ctx context.Context, b *exportBatch) bool {
	var bad []influx.Bad
	for b.lines.Lines() > 0 {
		try, ok := t.gate.enter(ctx)
		if !ok {
			return false
		}
		var err error
		if try {
			err = t.writer.Probe(ctx, &b.lines)
		}
		tried := err != nil
		if !tried {
			bad, err = t.writer.Deliver(ctx, &b.lines)
		}
		if ctx.Err() != nil {
			return false
		}
		t.gate.report(err, tried)
		if err == nil {
			break
		}
	}
	if len(bad) > 0 && !t.shelve(ctx, b, bad) {
		return false
	}
	t.mu.Lock()
	t.counts.add(&b.counts)
	t.counts.Lines += uint64(b.lines.Lines() - len(bad))
	t.counts.Refused += uint64(len(bad))
	t.mu.Unlock()
	t.landed(b.span)
	return true
}

func (c *ExportCounts) add(o *ExportCounts) {
	c.Removed += o.Removed
	c.Unreadable += o.Unreadable
	c.Skipped.Add(o.Skipped)
}

// shelve puts refused lines on the dead-letter shelf, one letter for each frame.
func (t *exportTail) shelve(ctx context.Context, b *exportBatch, bad []influx.Bad) bool {
	refused := map[int]string{}
	for _, l := range bad {
		refused[l.Line] = l.Text
	}
	var letters []DeadLetter
	for i, f := range b.frames {
		end := b.lines.Lines()
		if i+1 < len(b.frames) {
			end = b.frames[i+1].line
		}
		letter := DeadLetter{Position: f.position, Device: f.device, Received: f.received, Seq: f.seq}
		for l := f.line; l < end; l++ {
			if text, ok := refused[l]; ok {
				letter.Text = text
				letter.Lines++
				letter.Message = append(letter.Message, b.lines.Line(l)...)
			}
		}
		if letter.Lines > 0 {
			letters = append(letters, letter)
		}
	}
	t.noteRefusal(&letters[0], len(bad))
	t.store.mu.Lock()
	t.store.shelf.add(letters)
	waiting := t.store.shelf.waiting()
	t.store.mu.Unlock()
	// They must not grow without bound in memory while hub.db can't be written.
	for waiting > maxLettersWaiting && t.store.Checkpoint() != nil {
		if !sleep(ctx, retryTail) {
			return false
		}
	}
	return true
}

// noteRefusal remembers a sample of what was refused, and logs it unless it did not long ago.
func (t *exportTail) noteRefusal(letter *DeadLetter, lines int) {
	line, _, _ := strings.Cut(string(letter.Message), "\n")
	clock := t.store.clock
	t.mu.Lock()
	first := t.refusal.at == 0 || clock.Since(t.refusal.at) > refusalFresh
	t.refusal = lastRefusal{at: clock.Moment(), line: line, text: letter.Text}
	t.mu.Unlock()
	if first {
		t.store.log.Warn("InfluxDB refuses lines; they are kept on the dead-letter shelf", "lines", lines, "device", letter.Device, "text", letter.Text)
	}
}

// refusalFresh is how long the last refusal counts as the present state.
const refusalFresh = time.Minute
