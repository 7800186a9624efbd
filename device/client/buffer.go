package client

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// frameOverhead is what a buffered frame costs beyond its message, in memory and in the buffer file.
const frameOverhead = 64

// frame is one DATA message that the hub has not acknowledged yet.
type frame struct {
	seq     uint64
	message []byte        // never changed; nil once the frame is settled or overwritten
	schema  *schemaRecord // that the message follows
	sent    uint64        // connection it was last sent on; 0: none
}

// schemaRecord is a schema as the hub is told it.
type schemaRecord struct {
	schema  *device.Schema
	message []byte // whole SCHEMA message
	hash    device.Hash
}

// buffer holds what the hub has not acknowledged: frames, and the sequence numbers of frames that are gone. It is pure
// state without locks or goroutines; what has to survive the device's restart is appended to log.
type buffer struct {
	stream uint64
	next   uint64  // sequence number of the next frame
	fresh  uint64  // lower numbers may have been sent before this client was made
	frames []frame // ascending
	held   int     // frames that have a message
	bytes  int     // of the held frames, with frameOverhead
	limit  int     // upper bound of bytes
	lost   []lostRange

	conn          uint64 // the current connection; frames sent on it are in flight
	inFlight      int    // frames
	inFlightBytes int    // of their messages

	created, acked, rejected, lostCount uint64

	log     *recordLog // nil: the buffer is in memory only
	durable uint64     // with a log: frames up to this number are on disk and may be sent
}

var (
	// ErrFrameTooLarge is returned for a frame of more than device.MaxMessage bytes or half of Config.BufferBytes.
	ErrFrameTooLarge = errors.New("client: frame too large")

	errSeqExhausted = errors.New("client: the stream has no sequence numbers left")
)

// add appends a frame and overwrites the oldest ones if it has to. The caller gives the buffer the message.
func (b *buffer) add(message []byte, s *schemaRecord) error {
	switch {
	case len(message) > device.MaxMessage || len(message)+frameOverhead > b.limit/2:
		return ErrFrameTooLarge
	case b.next > device.MaxSeq:
		return errSeqExhausted
	}
	for b.bytes+len(message)+frameOverhead > b.limit {
		b.overwriteOldest()
	}
	b.append(frame{seq: b.next, message: message, schema: s})
	b.next++
	b.created++
	if b.log != nil {
		b.log.frame(&b.frames[len(b.frames)-1])
	}
	return nil
}

func (b *buffer) append(f frame) {
	b.frames = append(b.frames, f)
	b.held++
	b.bytes += len(f.message) + frameOverhead
}

// overwriteOldest gives up the oldest frame that is not in flight: of one in flight only the hub's answer can tell whether it
// is lost. All being in flight takes a frame of nearly half the buffer; then the oldest goes nevertheless.
func (b *buffer) overwriteOldest() {
	oldest := -1
	for i := range b.frames {
		f := &b.frames[i]
		if f.message == nil {
			continue
		}
		if oldest < 0 {
			oldest = i
		}
		if !b.isInFlight(f) {
			oldest = i
			break
		}
	}
	seq := b.frames[oldest].seq
	b.drop(oldest)
	b.compact()
	b.lose(seq, seq, device.LostOverwritten)
	b.lostCount++
}

func (b *buffer) isInFlight(f *frame) bool { return f.sent == b.conn && b.conn != 0 }

// drop forgets the message of a held frame.
func (b *buffer) drop(i int) {
	f := &b.frames[i]
	b.held--
	b.bytes -= len(f.message) + frameOverhead
	b.landed(f)
	f.message, f.schema = nil, nil
}

// landed takes the frame out of flight.
func (b *buffer) landed(f *frame) {
	if b.isInFlight(f) {
		b.inFlight--
		b.inFlightBytes -= len(f.message)
	}
	f.sent = 0
}

// compact removes dropped frames: at the front at once, further in when they are the larger part.
func (b *buffer) compact() {
	gone := 0
	for gone < len(b.frames) && b.frames[gone].message == nil {
		gone++
	}
	b.frames = b.frames[gone:]
	if dead := len(b.frames) - b.held; dead > 64 && dead > b.held {
		b.frames = slices.DeleteFunc(b.frames, func(f frame) bool { return f.message == nil })
	}
	if len(b.frames) == 0 {
		b.frames = nil // an outage may have made it large
	}
}

// search is the index of the first frame with a number of at least seq.
func (b *buffer) search(seq uint64) int {
	return sort.Search(len(b.frames), func(i int) bool { return b.frames[i].seq >= seq })
}

// settle takes note that the hub has first to last: they are never sent again.
func (b *buffer) settle(first, last uint64, rejected bool) {
	last = min(last, b.next-1)
	n := uint64(0)
	for i := b.search(first); i < len(b.frames) && b.frames[i].seq <= last; i++ {
		if b.frames[i].message != nil {
			b.drop(i)
			n++
		}
	}
	if rejected {
		b.rejected += n
	} else {
		b.acked += n
	}
	if b.settleLost(first, last)+n > 0 {
		b.compact()
		if b.log != nil {
			b.log.settled(first, last)
		}
	}
}

// connected begins a connection: nothing is in flight on it.
func (b *buffer) connected(conn uint64) {
	b.conn, b.inFlight, b.inFlightBytes = conn, 0, 0
}

// oldest is the lowest sequence number that is held, next if none is.
func (b *buffer) oldest() uint64 {
	if f := b.heldFrom(0); f != nil {
		return f.seq
	}
	return b.next
}

// heldFrom is the first held frame with a number of at least seq, nil if there is none.
func (b *buffer) heldFrom(seq uint64) *frame {
	for i := b.search(seq); i < len(b.frames); i++ {
		if b.frames[i].message != nil {
			return &b.frames[i]
		}
	}
	return nil
}

// unsent is the first held frame from seq on that is below end, not in flight and, with a log, on disk; nil if there is none.
func (b *buffer) unsent(seq, end uint64) *frame {
	end = b.sendable(end)
	for i := b.search(seq); i < len(b.frames) && b.frames[i].seq < end; i++ {
		if f := &b.frames[i]; f.message != nil && !b.isInFlight(f) {
			return f
		}
	}
	return nil
}

// sendable is seq or the lowest number that is not on disk yet, whichever is lower.
func (b *buffer) sendable(seq uint64) uint64 {
	if b.log != nil {
		return min(seq, b.durable+1)
	}
	return seq
}

// fits tells whether the frame may be in flight besides the others, given the hub's window. One always may. And half the buffer
// must stay free of frames in flight, because they are not overwritten.
func (b *buffer) fits(f *frame, windowFrames, windowBytes int) bool {
	frames, bytes := b.inFlight+1, b.inFlightBytes+len(f.message)
	return frames == 1 || frames <= windowFrames && bytes <= windowBytes && bytes+frames*frameOverhead <= b.limit/2
}

// launch takes note that the frame is being sent on the current connection.
func (b *buffer) launch(f *frame) {
	f.sent = b.conn
	b.inFlight++
	b.inFlightBytes += len(f.message)
}

// recall makes the held frames from first to last be sent again and appends to gone what is no longer held and not declared
// lost either.
func (b *buffer) recall(first, last uint64, gone device.Ranges) device.Ranges {
	last = min(last, b.next-1)
	at := max(first, 1) // not yet looked at
	for i := b.search(at); i < len(b.frames) && b.frames[i].seq <= last; i++ {
		f := &b.frames[i]
		if f.message == nil {
			continue
		}
		b.landed(f)
		gone = b.notLost(at, f.seq-1, gone)
		at = f.seq + 1
	}
	return b.notLost(at, last, gone)
}

// renumber gives the buffer another stream, in which what it holds is numbered from 1.
func (b *buffer) renumber(stream uint64) {
	held := slices.DeleteFunc(b.frames, func(f frame) bool { return f.message == nil })
	b.stream, b.next, b.fresh, b.frames, b.held, b.bytes, b.lost = stream, 1, 1, nil, 0, 0, nil
	for _, f := range held {
		_, n := binary.Uvarint(f.message[1:])
		message := binary.AppendUvarint([]byte{byte(device.TypeData)}, b.next)
		b.append(frame{seq: b.next, message: append(message, f.message[1+max(n, 0):]...), schema: f.schema})
		b.next++
	}
	if b.log != nil {
		b.durable, b.log.rewrite = 0, true
		notify(b.log.wake)
	}
}

// empty tells whether nothing waits for the hub's acknowledgement.
func (b *buffer) empty() bool { return b.held == 0 && len(b.lost) == 0 }
