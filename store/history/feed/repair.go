package feed

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// repairAgain is when what failed is tried again, because the disk was full or the journal was trimmed meanwhile: it reads all of the
// journal.
const repairAgain = 10 * time.Minute

// repair has the history put back from the journal what its damaged blocks held, and says what is missing for good. It belongs to
// the goroutine of Run, or to Begin. It does nothing if it knows of all damage and need
// not try again.
func (f *Feed) repair() {
	h := f.Current()
	if err := h.Heal(f.Schema); err != nil {
		f.log.Error("schemas of the history could not be restored", "error", err)
	}
	damage := h.Damage()
	if len(damage) == f.damaged && (f.again.IsZero() || time.Now().Before(f.again)) {
		return
	}
	var ids []string
	for _, d := range damage {
		if d.Device != "" && !slices.Contains(ids, d.Device) {
			ids = append(ids, d.Device)
		}
	}
	begins, err := f.begins(ids)
	for id, b := range begins {
		var n int
		if n, err = h.Restore(id, b.position, b.all, f.framesOf(id)); err != nil {
			break
		}
		f.rebuilt += n
	}
	f.again = time.Time{}
	if err != nil {
		f.log.Error("damaged blocks of the history could not be made again; it is tried again", "error", err)
		f.again = time.Now().Add(repairAgain)
	}
	damage = h.Damage()
	f.damaged = len(damage)
	switch {
	case len(damage) > 0 && err != nil:
		f.Alarms.Set("history damage", fmt.Sprintf("%d blocks of history.db are damaged, and could not be made again from the journal: %v. The hub "+
			"tries again in a while", len(damage), err))
	case len(damage) > 0:
		f.Alarms.Set("history damage", damageText(damage))
	case f.rebuilt > 0:
		f.Alarms.Set("history damage", fmt.Sprintf("%d damaged blocks of history.db were made again from the journal: no readings are "+
			"missing. A disk that does this may be about to fail: have a look at its health, and a backup", f.rebuilt))
	default:
		f.Alarms.Clear("history damage")
	}
}

// damageText says what is missing.
func damageText(damage []history.Damage) string {
	const named = 5
	var of []string
	for _, d := range damage[:min(len(damage), named)] {
		switch {
		case d.Device == "":
			of = append(of, "of a device that is not known any more")
		case d.First.IsZero():
			of = append(of, "of "+d.Device)
		default:
			of = append(of, fmt.Sprintf("of %s from %s to %s", d.Device, wallclock.Text(d.First), wallclock.Text(d.Last)))
		}
	}
	more := ""
	if n := len(damage) - named; n > 0 {
		more = fmt.Sprintf(", and of %d blocks more", n)
	}
	return fmt.Sprintf("%d blocks of history.db are damaged, and the journal does not have them any more: readings are missing %s%s. "+
		"Have a look at the disk's health, and a backup", len(damage), strings.Join(of, ", "), more)
}

// beginning is from where on the journal has what the history may have of a device.
type beginning struct {
	position uint64
	all      bool // the history has nothing of what was before
}

// begins finds the beginnings for devices: what came before one was removed is not to come back. It reads all of the journal, so that
// the books know of what is damaged in it.
func (f *Feed) begins(ids []string) (map[string]beginning, error) {
	begins := make(map[string]beginning, len(ids))
	if len(ids) == 0 {
		return begins, nil
	}
	first := f.tails.First()
	for _, id := range ids {
		begins[id] = beginning{first, first <= 1}
	}
	for e, err := range f.entries(first, f.tails.Next()) {
		if err != nil {
			return nil, err
		}
		if e.Kind == tail.KindRemoval && slices.Contains(ids, e.Device) {
			begins[e.Device] = beginning{e.Position + 1, true}
		}
	}
	gaps := f.Outages.Gaps()
	for id, b := range begins {
		b.all = b.all && !slices.ContainsFunc(gaps, func(g outages.Gap) bool { return g.Last >= b.position })
		begins[id] = b
	}
	return begins, nil
}

// entries returns the entries of the journal from one position on and before another, as far as they can be read. What is damaged is a
// gap.
func (f *Feed) entries(from, to uint64) iter.Seq2[*tail.Entry, error] {
	return func(yield func(*tail.Entry, error) bool) {
		r := f.tails.Reader(from)
		defer r.Close()
		for {
			e, err := r.Next()
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(nil, err)
				return
			case e.Kind == tail.KindOverleap:
				yield(nil, fmt.Errorf("the journal was trimmed up to position %d meanwhile", e.Position))
				return
			case e.Kind == tail.KindGap:
				f.Outages.EnterGap(outages.Missing(e.Gap))
			case e.Position >= to || !yield(e, nil):
				return
			}
		}
	}
}

// framesOf returns the frames of a device that the journal has.
func (f *Feed) framesOf(id string) history.Frames {
	return func(from, to uint64) iter.Seq2[*history.Frame, error] {
		return func(yield func(*history.Frame, error) bool) {
			for e, err := range f.entries(from, to) {
				if err != nil {
					yield(nil, err)
					return
				}
				if e.Kind == tail.KindFrame && e.Device == id && !yield(frameOf(e), nil) {
					return
				}
			}
		}
	}
}

// frameOf is an entry as the history takes it.
func frameOf(e *tail.Entry) *history.Frame {
	return &history.Frame{
		Position: e.Position, Received: e.Received, Device: e.Device,
		Schema: e.Source.Schema, SchemaHash: e.Source.Hash, SchemaBytes: e.Source.Message,
		Offset: e.Timing.Offset, Quality: e.Timing.Quality, Data: e.Message,
	}
}
