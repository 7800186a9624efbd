package export

import (
	"context"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

// deliver sends a batch, again and again until it is delivered, and records that. It returns false if ctx ended first.
func (e *Export) deliver(ctx context.Context, b *batch) bool {
	var bad []influx.Bad
	for b.lines.Lines() > 0 {
		try, ok := e.gate.enter(ctx)
		if !ok {
			return false
		}
		var err error
		if try {
			err = e.writer.Probe(ctx, &b.lines)
		}
		tried := err != nil
		if !tried {
			bad, err = e.writer.Deliver(ctx, &b.lines)
		}
		if ctx.Err() != nil {
			return false
		}
		e.gate.report(err, tried)
		if err == nil {
			break
		}
	}
	if len(bad) > 0 && !e.keep(ctx, b, bad) {
		return false
	}
	e.mu.Lock()
	e.counts.add(&b.counts)
	e.counts.Lines += uint64(b.lines.Lines() - len(bad))
	e.counts.Refused += uint64(len(bad))
	e.mu.Unlock()
	e.finish(b.span)
	return true
}

func (c *Counts) add(o *Counts) {
	c.Removed += o.Removed
	c.Unreadable += o.Unreadable
	c.Skipped.Add(o.Skipped)
}

// Refused is what InfluxDB refused of a frame.
type Refused struct {
	Position uint64 // of the frame in the journal
	Device   string
	Received time.Time
	Seq      uint64
	Text     string // why, in the server's words
	Message  []byte // line protocol
	Lines    int    // of it
}

// keep has refused lines kept as dead letters, one for each frame.
func (e *Export) keep(ctx context.Context, b *batch, bad []influx.Bad) bool {
	texts := map[int]string{}
	for _, l := range bad {
		texts[l.Line] = l.Text
	}
	var refused []Refused
	for i, f := range b.frames {
		end := b.lines.Lines()
		if i+1 < len(b.frames) {
			end = b.frames[i+1].line
		}
		r := Refused{Position: f.position, Device: f.device, Received: f.received, Seq: f.seq}
		for l := f.line; l < end; l++ {
			if text, ok := texts[l]; ok {
				r.Text = text
				r.Lines++
				r.Message = append(r.Message, b.lines.Line(l)...)
			}
		}
		if r.Lines > 0 {
			refused = append(refused, r)
		}
	}
	e.noteRefusal(&refused[0], len(bad))
	return e.deps.Refused(ctx, refused)
}

// noteRefusal remembers a sample of what was refused, and logs it unless it did not long ago.
func (e *Export) noteRefusal(r *Refused, lines int) {
	line, _, _ := strings.Cut(string(r.Message), "\n")
	e.mu.Lock()
	first := e.refusal.at == 0 || e.clock.Since(e.refusal.at) > refusalFresh
	e.refusal = lastRefusal{at: e.clock.Moment(), line: line, text: r.Text}
	e.mu.Unlock()
	if first {
		e.log.Warn("InfluxDB refuses lines; they are kept as dead letters", "lines", lines, "device", r.Device, "text", r.Text)
	}
}

// refusalFresh is how long the last refusal counts as the present state.
const refusalFresh = time.Minute
