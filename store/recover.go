package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
)

// recover brings the books from the last checkpoint to the end of the journal.
func (s *Store) recover(report *journal.Report) error {
	for _, d := range report.Damage {
		s.enterDamage(d)
	}
	if err := s.replay(); err != nil {
		return fmt.Errorf("replay the journal: %w", err)
	}
	s.endLostRun()
	for _, a := range s.accounts {
		a.writing, a.durable = a.tally, a.tally
	}
	s.tail.next = max(s.history.Load().Cursor(), 1)
	s.filling = &batch{number: 1, segment: 1}
	if segments := s.journal.Segments(); len(segments) > 0 {
		s.segmentUsed = segments[len(segments)-1].Bytes
	}
	return nil
}

func (s *Store) loadCheckpoint() error {
	return s.db.View(func(tx *bbolt.Tx) error {
		if v := get(tx.Bucket(bucketMeta), keyCursor); len(v) == 8 {
			s.cursor = binary.BigEndian.Uint64(v)
		}
		if err := s.export.load(tx); err != nil {
			return err
		}
		err := each(tx.Bucket(bucketBooks), func(k, v []byte) error {
			a, err := parseAccount(string(k), v)
			if err != nil {
				return fmt.Errorf("account of %s: %w", k, err)
			}
			s.accounts[a.device] = a
			return nil
		})
		if err != nil {
			return err
		}
		if err := s.loadIncidents(tx); err != nil {
			return fmt.Errorf("incidents: %w", err)
		}
		err = each(tx.Bucket(bucketGaps), func(_, v []byte) error {
			var g Gap
			err := json.Unmarshal(v, &g)
			s.gaps = append(s.gaps, g)
			return err
		})
		if err != nil {
			return err
		}
		return each(tx.Bucket(bucketSources), func(k, v []byte) error {
			var r sourceRecord
			if err := cbor.Unmarshal(v, &r); err != nil {
				return err
			}
			message := slices.Clone(get(tx.Bucket(bucketSchemas), r.Hash[:]))
			src, err := newSource(binary.BigEndian.Uint64(k), r.Device, r.Stream, message)
			if err != nil {
				return err
			}
			src.position, src.saved = r.Position, true
			s.sources.put(src)
			return nil
		})
	})
}

// replay reads the journal from the segment in which the hindmost tail stands: the sources are defined there.
func (s *Store) replay() error {
	hindmost := min(s.cursor, s.history.Load().Cursor())
	var from uint64
	for _, segment := range s.journal.Segments() {
		if from == 0 || segment.First <= hindmost {
			from = segment.First
		}
	}
	if from == 0 {
		return nil
	}
	if s.cursor > 0 && s.cursor < from {
		s.enterGap(Gap{First: s.cursor, Last: from - 1, Cause: "dropped before the books had it"})
	}
	r := s.journal.Reader(from)
	defer r.Close()
	var scratch device.Data
	var before time.Time
	for {
		block, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if gap := block.Skipped; gap.First != 0 {
			s.enterGap(s.damaged(gap).between(before, block.Time))
		}
		before = block.Time
		for position, b := range block.Entries() {
			var e entry
			if err := parseEntry(b, &e); err != nil {
				s.log.Error("a journal entry can't be read", "position", position)
				continue
			}
			if e.kind == entrySource {
				s.replaySource(position, &e)
			} else if position >= s.cursor {
				s.replayEntry(position, block.Time, &e, &scratch)
			}
		}
	}
}

func (s *Store) replaySource(position uint64, e *entry) {
	src, err := newSource(e.source, string(e.device), e.stream, slices.Clone(e.message))
	if err != nil {
		s.log.Error("a source in the journal can't be read", "position", position, "error", err)
		return
	}
	src.position = position
	s.sources.put(src)
	s.schemas.put(src.hash, announced{src.schema, src.message})
}

// replayEntry does to the books what was done when the entry was handed in.
func (s *Store) replayEntry(position uint64, received time.Time, e *entry, scratch *device.Data) {
	if e.kind == entryFrame {
		s.replayFrame(position, received, e, scratch)
		return
	}
	if e.kind == entryForget {
		s.forget(string(e.device))
		return
	}
	a := s.account(string(e.device))
	a.dirty = true
	switch e.kind {
	case entryReject:
		if e.seq != 0 {
			set := a.stream(e.stream)
			set.settled.Add(e.seq)
			set.durable.Add(e.seq)
		}
		a.rejected++
		s.shelf.add([]DeadLetter{{
			Position: position, Device: a.device, Received: received, Seq: e.seq, Code: e.code,
			Text: string(e.text), Message: slices.Clone(e.message),
		}})
	case entryLost:
		set := a.stream(e.stream)
		a.lose(set, e.first, e.last, device.LostReason(e.code), received)
		set.durable.AddRange(e.first, e.last)
	case entryDuplicates:
		a.duplicates += e.count
	case entryBoot:
		a.boot(e.boot, e.offset)
	}
}

func (s *Store) replayFrame(position uint64, received time.Time, e *entry, d *device.Data) {
	src := s.sources.byNumber[e.source]
	if src == nil {
		s.log.Error("a frame's source is not defined", "position", position, "source", e.source)
		return
	}
	if err := device.ParseData(e.message, src.schema, d); err != nil {
		s.log.Error("a frame in the journal can't be read", "position", position, "error", err)
		return
	}
	a := s.account(src.device)
	a.dirty = true
	set := a.stream(src.stream)
	set.durable.Add(d.Seq)
	highest := set.settled.Max()
	if set.settled.Add(d.Seq) {
		a.frames++
		a.readings += uint64(d.Readings())
		a.reached(set, highest, d, e.offset)
		a.newest(d, e.offset, received.UnixMicro())
	}
	s.registry.noteSchema(src.device, src.hash)
}

// enterDamage reports what the journal found at start: entries that are gone go into the books as a gap.
func (s *Store) enterDamage(d journal.Damage) {
	if d.FirstMissing != 0 {
		s.enterGap(Gap{First: d.FirstMissing, Last: d.LastMissing, Cause: string(d.Kind) + " in " + d.Segment, SetAside: d.SetAside})
		return
	}
	s.log.Warn("the journal was mended", "segment", d.Segment, "kind", d.Kind, "bytes", d.Bytes, "set_aside", d.SetAside)
}
