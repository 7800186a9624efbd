package influx

import (
	"context"
	"errors"
	"math/rand/v2"
)

// Bad is a line the server refuses, whatever else is sent with it.
type Bad struct {
	Line int    // in the batch
	Text string // the server's words
}

// Deliver sends a batch and finds out which of its lines the server refuses; all others are written. An error means that
// the batch, which may have been written in part, has to be delivered again: it is a *Refusal that says Retry or Pause, or
// the context's.
//
// The lines of a device that was refused before travel in a request of their own, so that one device that changed the type
// of a field costs the others nothing.
//
// An answer whose words are not known, like 500 without more, may be about one line or about the server. Then a line that
// was taken before is written once more: if it is taken, the fault is in these lines, and they are divided.
func (w *Writer) Deliver(ctx context.Context, b *Batch) ([]Bad, error) {
	suspects := w.suspectsIn(b)
	var whole *Refusal
	if len(suspects) == 0 {
		err := w.send(ctx, b, 0, len(b.lines))
		if !errors.As(err, &whole) || !whole.divisible() {
			return nil, err
		}
	}
	sorted, was, good := b.grouped(suspects)
	d := delivery{w: w, batch: sorted, bad: make([]string, len(sorted.lines))}
	var err error
	if whole != nil {
		err = d.split(ctx, 0, len(sorted.lines), whole)
	} else if err = d.send(ctx, 0, good); err == nil {
		err = d.send(ctx, good, len(sorted.lines))
	}
	if err != nil {
		return nil, err
	}
	w.suspect(sorted, d.bad)
	var bad []Bad
	for i, text := range d.bad {
		if text != "" {
			bad = append(bad, Bad{Line: was[i], Text: text})
		}
	}
	return bad, nil
}

// delivery is a batch being sent in parts.
type delivery struct {
	w     *Writer
	batch *Batch
	bad   []string // the server's words about each line; empty: none
}

// send sends the lines first to last−1, in as many parts as it takes.
func (d *delivery) send(ctx context.Context, first, last int) error {
	if first == last {
		return nil
	}
	err := d.w.send(ctx, d.batch, first, last)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.divisible() {
		return d.split(ctx, first, last, refusal)
	}
	return err
}

// send writes the lines first to last−1. When it is unclear whether a refusal is about them, it finds out.
func (w *Writer) send(ctx context.Context, b *Batch, first, last int) error {
	text, _ := b.span(first, last)
	err := w.Write(ctx, text)
	var refusal *Refusal
	switch {
	case err == nil:
		w.taken(b.Line(last - 1))
		return nil
	case !errors.As(err, &refusal) || !refusal.unclear || w.Probe(ctx, b) != nil:
		return err
	}
	// The server takes lines. The second refusal is no accident.
	err = w.Write(ctx, text)
	if errors.As(err, &refusal) && refusal.unclear {
		about := *refusal
		about.Verdict = BadLines
		return &about
	}
	return err
}

// Probe finds out, at the price of one line, whether the server takes lines at present: it writes the last one that was
// taken, which overwrites itself, or any of b. A server that finds fault with the line itself takes others.
func (w *Writer) Probe(ctx context.Context, b *Batch) error {
	w.mu.Lock()
	line := w.witness
	w.witness = nil // it may have become too old; then any other does
	w.mu.Unlock()
	if line == nil {
		line = b.Line(rand.IntN(len(b.lines)))
	}
	err := w.Write(ctx, line)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.divisible() {
		return nil
	}
	if err == nil {
		w.taken(line)
	}
	return err
}

// taken remembers a line that the server has taken.
func (w *Writer) taken(line []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.witness = append([]byte(nil), line...)
}

// split goes on with lines that were refused together.
func (d *delivery) split(ctx context.Context, first, last int, refusal *Refusal) error {
	_, count := d.batch.span(first, last)
	if last-first == 1 || refusal.Verdict == BadLines && refusal.Dropped == count {
		for i := first; i < last; i++ {
			d.bad[i] = refusal.Text
		}
		return nil
	}
	middle := d.batch.middle(first, last)
	if err := d.send(ctx, first, middle); err != nil {
		return err
	}
	return d.send(ctx, middle, last)
}

// middle returns where to cut the lines first to last−1 in two: between two that are not alike, if there are such.
func (b *Batch) middle(first, last int) int {
	middle := (first + last) / 2
	for i := range middle - first + 1 {
		for _, at := range [...]int{middle - i, middle + i} {
			if first < at && at < last && !b.lines[at-1].alike(&b.lines[at]) {
				return at
			}
		}
	}
	return middle
}

// divisible says whether fewer lines may fare better.
func (r *Refusal) divisible() bool { return r.Verdict == BadLines || r.Verdict == TooLarge }

// suspectsIn returns the devices in the batch whose lines were refused the last time.
func (w *Writer) suspectsIn(b *Batch) map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.suspects) == 0 {
		return nil
	}
	found := map[string]bool{}
	for _, l := range b.lines {
		if w.suspects[l.device] {
			found[l.device] = true
		}
	}
	return found
}

// suspect remembers whose lines were refused, and forgets the devices whose lines were all taken.
func (w *Writer) suspect(b *Batch, bad []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range b.lines {
		delete(w.suspects, l.device)
	}
	for i, text := range bad {
		if text != "" && b.lines[i].device != "" && len(w.suspects) < maxSuspects {
			w.suspects[b.lines[i].device] = true
		}
	}
}
