// Package history keeps local readings in one bbolt file.
//
// It takes DATA messages in journal order, gathers them in memory for each device, and now and then writes them as blocks
// of the same columnar coding, many devices in one transaction. It is a tail of the journal: what was only in memory when
// the process died comes again, from Cursor on, and what the file already has is recognised and ignored. Nothing is merged
// or dropped: every reading comes back, by time, equal times in the order of arrival.
package history

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

var (
	// ErrDamaged is wrapped by the errors of a History whose file can no longer be used. Close sets the file aside, so that
	// Open begins a new one.
	ErrDamaged = boltfile.ErrDamaged
	// ErrLocked is wrapped by the error of Open if another process has the file open.
	ErrLocked = boltfile.ErrLocked
)

// Options say where a History lives and how much it keeps.
type Options struct {
	Path     string           // the bbolt file
	MaxBytes int64            // bytes of the file in use before the oldest readings go; 0: 1 GiB, see SetRoom
	MaxAge   time.Duration    // readings received longer ago go, unless that was before wallclock.Floor; 0: no limit
	Logger   *slog.Logger     // nil: slog.Default()
	Now      func() time.Time // nil: time.Now

	// Received is when the frame at a position of the journal came, by the clock as Now has shown it last, if it is said to have come
	// at received; nil: then. By that the age counts.
	Received func(position uint64, received time.Time) time.Time
}

// Frame is one DATA message as the journal holds it.
type Frame struct {
	Position    uint64 // in the journal, from 1
	Received    time.Time
	Device      string         // 1 to device.MaxName bytes, none of them 0x00
	Schema      *device.Schema // kept until the frame is in the file, and not to be changed meanwhile; so is SchemaBytes
	SchemaHash  device.Hash
	SchemaBytes []byte // the whole SCHEMA message
	Offset      int64  // µs to add to the frame's times
	Quality     tail.Quality
	Data        []byte // the whole DATA message; copied
}

// Reading is one value of one channel.
type Reading struct {
	Time     time.Time // to the µs
	Device   string
	Channel  *device.Channel
	Schema   *device.Schema // the channel's
	Value    device.Value
	Quality  tail.Quality
	Received time.Time // to the ms
}

// Query selects readings of one device.
type Query struct {
	Device   string
	Channels []string  // names; empty: all channels
	From     time.Time // first time wanted; zero: from the beginning
	To       time.Time // first time no longer wanted; zero: to the end
}

// Stats describe a History.
type Stats struct {
	Blocks    uint64    `json:"blocks"`     // in the file
	Bytes     int64     `json:"bytes"`      // of the file that are in use
	FileBytes int64     `json:"file_bytes"` // size of the file
	Buffered  int64     `json:"buffered"`   // bytes of frames in memory, not yet in the file
	Oldest    time.Time `json:"oldest"`     // receipt of the oldest block in the file; zero if there is none
	Damaged   uint64    `json:"damaged"`    // blocks that can't be read
}

// History keeps readings. Add, SkipTo, Flush and Remove are for the one tail that reads the journal; all methods may be
// called concurrently.
type History struct {
	opts  Options
	limit atomic.Int64 // bytes of the file in use before the oldest readings go: MaxBytes, or less when the disk is small

	// writing is held by whoever writes, also while waiting for the disk.
	writing  sync.Mutex
	file     *boltfile.File
	builder  builder
	full     []*buffer // those with enough frames for a block
	fullSize int
	unsure   bool      // a commit failed: the file may hold it, or not
	failedAt time.Time // when writing failed last
	wroteAt  time.Time // when the last flush ended
	askAgain int       // fullSize from which on it is worth to ask whether a flush is due

	// mu guards what follows. A writer holds both, a reader of history this one only for a moment.
	mu       sync.Mutex
	closed   bool
	buffers  map[string]*buffer
	memory   slabs
	buffered int64 // weight of all buffers
	pending  int   // entries in all buffers
	next     uint64
	state    state
	written  time.Time // when everything was last written
	used     int64     // bytes
	size     int64     // bytes
	edge     edge
	removals uint64               // how often blocks were deleted by Remove, or because they were damaged
	damage   []Damage             // blocks that can't be read, by number as far as Open found them
	missing  map[device.Hash]bool // schemas that the file has lost; owned by the writer
	failing  error                // why the file could not be written the last time; nil if it could
}

// Add takes a frame. Frames come in journal order; one that the History already holds is ignored. When enough frames are in
// memory Add writes them. If that fails, it takes more into memory, tries again now and then, and Failing says why; when the
// memory for frames is full it returns the error, and the frame is not taken.
func (h *History) Add(f *Frame) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if err := h.usable(); err != nil {
		return err
	}
	b := h.buffers[f.Device]
	if f.Position < h.state.cursor || b != nil && f.Position <= b.last { // it is in the file, or in memory
		h.skipTo(f.Position + 1)
		return nil
	}
	if err := check(f, b); err != nil {
		return fmt.Errorf("history: frame of %q at position %d: %w", f.Device, f.Position, err)
	}
	full := h.buffered >= maxBuffered
	if full || h.fullSize >= batchSize && h.flushDue() {
		if err := h.flush(full); err != nil && (full || errors.Is(err, ErrDamaged)) {
			return err
		}
		b = nil // there may be another one now
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if b == nil {
		b = h.buffer(f.Device)
	}
	h.buffered += b.add(
		mark{position: f.Position, received: f.Received.UnixMilli(), offset: f.Offset},
		format{hash: f.SchemaHash, schema: f.Schema, message: f.SchemaBytes, quality: f.Quality}, f.Data)
	h.next = max(h.next, f.Position+1)
	h.noteSize(b, len(f.Data))
	return nil
}

// check refuses what could not be read later. That the frame can be decoded has been seen to before it got into the journal. b is the
// device's buffer, nil if there is none.
func check(f *Frame, b *buffer) error {
	if f.Position == 0 || len(f.Device) == 0 || len(f.Device) > device.MaxName || strings.IndexByte(f.Device, 0) >= 0 {
		return errors.New("no such position or device")
	}
	if (b == nil || !b.has(f.SchemaHash)) && device.HashSchema(f.SchemaBytes) != f.SchemaHash {
		return errors.New("the schema is not the one its hash says")
	}
	return nil
}

// buffer returns the device's buffer, making it if need be.
func (h *History) buffer(deviceID string) *buffer {
	b := h.buffers[deviceID]
	if b == nil {
		b = newBuffer(deviceID, &h.memory)
		h.buffers[deviceID] = b
	}
	return b
}

// noteSize counts n bytes more in b, and notes it when that makes it worth a block.
func (h *History) noteSize(b *buffer, n int) {
	switch {
	case b.full:
		h.fullSize += n
	case b.size >= b.target:
		b.full = true
		h.full = append(h.full, b)
		h.fullSize += b.size
	}
}

// Failing is why the file could not be written the last time, nil if it could. The frames are in memory then.
func (h *History) Failing() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failing
}

// SkipTo says that what stands in the journal before pos is either added or of no interest.
func (h *History) SkipTo(pos uint64) {
	h.writing.Lock()
	defer h.writing.Unlock()
	h.skipTo(pos)
}

func (h *History) skipTo(pos uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = max(h.next, pos)
}

// Cursor is the journal position to read from after a restart, and before which the journal is not needed: every frame
// before it is in the file. It moves only when something is written.
func (h *History) Cursor() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state.cursor
}

// Stats describes the history.
func (h *History) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Stats{
		Blocks: h.state.blocks, Bytes: h.used, FileBytes: h.size, Buffered: h.buffered, Damaged: uint64(len(h.damage)),
	}
	if h.edge.number < h.state.next {
		s.Oldest = time.UnixMilli(h.edge.received).UTC()
	}
	return s
}

var errClosed = errors.New("history: closed")

// usable returns an error if nothing can be written any more.
func (h *History) usable() error {
	if h.closed {
		return errClosed
	}
	if h.file.Damaged() {
		return ErrDamaged
	}
	return nil
}

// Readings streams what q selects, by time; equal times come in the order of arrival, and the channels of one sample by
// ascending id. An error ends the sequence: an [*IncompleteError] comes behind all that can be read, if a damaged block is
// passed over. What is added after the first reading was asked for may be missing.
func (h *History) Readings(ctx context.Context, q Query) iter.Seq2[Reading, error] {
	return func(yield func(Reading, error) bool) {
		s := newScan(h, q)
		if s == nil {
			yield(Reading{}, errClosed)
			return
		}
		err := s.run(ctx, yield)
		if err == nil {
			err = s.incomplete()
		}
		if err != nil && err != errStopped {
			yield(Reading{}, err)
		}
	}
}
