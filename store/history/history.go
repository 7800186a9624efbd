// Package history keeps local readings in one bbolt file, rebuilt from the journal as far as the journal reaches.
package history

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// ErrDamaged is wrapped by the errors of a History whose file can no longer be used. Close it, which sets the
// file aside, and Open again.
var ErrDamaged = errors.New("history file is damaged")

// Options say where a History lives and how much it keeps.
type Options struct {
	Path     string           // the bbolt file
	MaxBytes int64            // bytes of the file in use before the oldest readings go; 0: 1 GiB
	MaxAge   time.Duration    // readings received longer ago go; 0: no limit
	Logger   *slog.Logger     // nil: slog.Default()
	Now      func() time.Time // nil: time.Now
}

// Quality says how far a reading's time can be trusted.
type Quality uint8

const (
	QualityDevice    Quality = 0 // the device's own clock
	QualityConverted Quality = 1 // converted from the time since the device's boot
	QualityReceived  Quality = 2 // the time of receipt: the device's boot is unknown
	QualityDoubtful  Quality = 3 // the device's own clock, which is known to be wrong
)

// Frame is one DATA message as the journal holds it.
type Frame struct {
	Position    uint64 // in the journal
	Received    time.Time
	Device      string
	Schema      *device.Schema
	SchemaHash  device.Hash
	SchemaBytes []byte // the whole SCHEMA message
	Offset      int64  // µs to add to the frame's times
	Quality     Quality
	Data        []byte // the whole DATA message
}

// Reading is one value of one channel.
type Reading struct {
	Time     time.Time // to the µs
	Device   string
	Channel  *device.Channel
	Value    device.Value
	Quality  Quality
	Received time.Time // to the ms
}

// Query selects readings of one device.
type Query struct {
	Device  string
	Channel string    // name; empty: all channels
	From    time.Time // first time wanted; zero: from the beginning
	To      time.Time // first time no longer wanted; zero: to the end
}

// Stats describe a History.
type Stats struct {
	Blocks    uint64    // blocks in the file
	Bytes     int64     // bytes of the file in use
	FileBytes int64     // size of the file
	Buffered  int64     // bytes of frames in memory, not yet in the file
	Oldest    time.Time // receipt of the oldest block in the file; zero if there is none
	Damaged   uint64    // times a damaged block was met and skipped since Open
}

// History keeps readings. Add, SkipTo and Flush are for one tail; everything is safe for concurrent use.
type History struct{}

// Open opens or makes the history at o.Path. A file that cannot be used is renamed; setAside is its new name.
func Open(o Options) (h *History, setAside string, err error) { return nil, "", errors.ErrUnsupported }

// Add takes a frame. Frames come in journal order; one the History already holds is ignored.
func (h *History) Add(f *Frame) error { return errors.ErrUnsupported }

// SkipTo says that there are no frames before position pos that were not added.
func (h *History) SkipTo(pos uint64) {}

// Flush writes what is due, or all.
func (h *History) Flush(all bool) error { return errors.ErrUnsupported }

// Cursor is the journal position to resume from after a restart: every frame before it is in the file.
func (h *History) Cursor() uint64 { return 0 }

// Readings streams what q selects, in time order; equal times keep the order of arrival.
func (h *History) Readings(ctx context.Context, q Query) iter.Seq2[Reading, error] {
	return func(func(Reading, error) bool) {}
}

// Remove forgets everything of a device.
func (h *History) Remove(deviceID string) error { return errors.ErrUnsupported }

// Stats describes the history.
func (h *History) Stats() Stats { return Stats{} }

// Close writes everything and closes the file.
func (h *History) Close() error { return errors.ErrUnsupported }
