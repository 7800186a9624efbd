package history

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// restoreWindow is how many journal positions Restore looks at at a time: two bytes of memory each.
const restoreWindow = 1 << 20

// Frames returns the frames of one device that the journal has from one position on and before another, in journal order. A frame is
// good until the next one.
type Frames func(from, to uint64) iter.Seq2[*Frame, error]

// Restore puts back what the damaged blocks of a device held, as far as it stands in the journal from position from on. all says
// that the device has nothing before. A block of which nothing is missing any more is deleted, and counted in rebuilt.
func (h *History) Restore(deviceID string, from uint64, all bool, frames Frames) (rebuilt int, err error) {
	h.writing.Lock()
	defer h.writing.Unlock()
	if err := h.usable(); err != nil {
		return 0, err
	}
	r := restorer{h: h, device: deviceID, all: all, claimed: map[uint64][]*lostBlock{}}
	if b := h.buffers[deviceID]; b != nil {
		r.last = b.last
	}
	if err := r.claims(from); err != nil || len(r.lost) == 0 {
		return 0, err
	}
	for ; r.from < r.to; r.from += restoreWindow {
		end := min(r.from+restoreWindow, r.to)
		if err := r.count(end); err != nil {
			return 0, err
		}
		for f, err := range frames(r.from, end) {
			if err == nil {
				err = r.frame(f)
			}
			if err != nil {
				return 0, err
			}
		}
	}
	if err := r.write(); err != nil {
		return 0, err
	}
	return r.finish()
}

// restorer is a Restore under way.
type restorer struct {
	h        *History
	device   string
	all      bool   // everything the device has ever sent is in the journal
	last     uint64 // position of its newest frame that is in the file or in memory
	partial  bool   // of some frame the file has a part only
	lost     []*lostBlock
	claimed  map[uint64][]*lostBlock // by position
	from, to uint64                  // positions to look at
	present  []uint16                // samples in sound blocks, of the frames from position from on
	builder  builder
	size     int
	scratch  device.Data
}

// lostBlock is a damaged block. Most of it is what was written, so what it says of its frames is likely right: that they all are
// back is taken for true only if none of them is in a sound block.
type lostBlock struct {
	Damage
	parts  []part // nil: it does not say
	back   int    // of parts
	doubts bool
}

// claims finds out where in the journal to look.
func (r *restorer) claims(from uint64) error {
	r.from = math.MaxUint64
	end := max(r.h.next, r.last+1)
	return r.h.file.View(func(tx *bolt.Tx) error {
		for _, d := range r.h.Damage() {
			if d.Device != r.device {
				continue
			}
			b := &lostBlock{Damage: d}
			r.lost = append(r.lost, b)
			if !r.all {
				b.parts = claimsOf(tx.Bucket(bucketBlocks).Get(numberKey(d.number)), r.device)
			}
			if b.parts == nil {
				r.from, r.to = from, end
				continue
			}
			for _, p := range b.parts {
				r.claimed[p.position] = append(r.claimed[p.position], b)
				r.from, r.to = min(r.from, max(p.position, from)), max(r.to, min(p.position+1, end))
			}
		}
		return nil
	})
}

// claimsOf returns the frames that a damaged block says it has, nil if that makes no sense.
func claimsOf(block []byte, deviceID string) (parts []part) {
	if len(block) < blockDevice {
		return nil
	}
	id, _, _, d := blockHead(block)
	count := d.uvarint()
	if id != deviceID || count == 0 || count > device.MaxSamples {
		return nil
	}
	var p part
	total := uint64(0)
	for range count {
		ahead := d.uvarint()
		d.varint()
		samples := d.uvarint()
		if d.bad || ahead > math.MaxInt64-p.position || samples == 0 || samples > device.MaxSamples {
			return nil
		}
		p.position += ahead
		p.samples = int(samples)
		total += samples
		parts = append(parts, p)
	}
	// What follows is a DATA message with as many samples: else the count of frames is wrong.
	if len(d.rest) < 3 || device.Type(d.rest[0]) != device.TypeData || d.rest[1] != 1 {
		return nil
	}
	d.bytes(3 + 8) // the type, the sequence number 1, the flags and the first time
	if d.uvarint() != total || d.bad {
		return nil
	}
	return parts
}

// count counts the samples in sound blocks of the frames from r.from up to, not including, end.
func (r *restorer) count(end uint64) error {
	r.present = append(r.present[:0], make([]uint16, end-r.from)...)
	add := func(entries []entry) error {
		return r.h.file.View(func(tx *bolt.Tx) error {
			for _, e := range entries {
				block := tx.Bucket(bucketBlocks).Get(numberKey(e.number))
				if !checkBlock(block, e.number) {
					continue
				}
				parts := claimsOf(block, r.device)
				if parts == nil {
					return fmt.Errorf("history: block %d of %s can't be read", e.number, r.device)
				}
				for _, p := range parts {
					if p.position >= r.from && p.position < end {
						r.present[p.position-r.from] += uint16(p.samples)
					}
				}
			}
			return nil
		})
	}
	if b := r.h.buffers[r.device]; b != nil {
		if err := add(b.pending); err != nil {
			return err
		}
	}
	walk := newIndexWalk(r.device, openBounds)
	for {
		entries, err := walk.next(r.h, walkFound)
		if err != nil || len(entries) == 0 {
			return err
		}
		if err := add(slices.DeleteFunc(entries, r.isPending)); err != nil {
			return err
		}
	}
}

// isPending says whether a block is listed in memory, too.
func (r *restorer) isPending(e entry) bool {
	b := r.h.buffers[r.device]
	return b != nil && slices.ContainsFunc(b.pending, func(p entry) bool { return p.number == e.number })
}

// frame puts a frame back if it is not there.
func (r *restorer) frame(f *Frame) error {
	if f.Device != r.device || f.Position < r.from || f.Position >= r.from+uint64(len(r.present)) {
		return fmt.Errorf("history: the frame at %d is not one of %s", f.Position, r.device)
	}
	if !r.written(f.Position) {
		return nil
	}
	if device.ParseData(f.Data, f.Schema, &r.scratch) != nil {
		return nil // whoever has read it before has said so
	}
	samples, claims, claimed := len(r.scratch.Times), r.claimed[f.Position], 0
	for _, b := range claims {
		for _, p := range b.parts {
			if p.position == f.Position {
				claimed += p.samples
			}
		}
	}
	present := int(r.present[f.Position-r.from])
	if present > 0 || claimed != samples {
		for _, b := range claims {
			b.doubts = true // a part of it is elsewhere, or it is not what it says
		}
	}
	if present > 0 {
		r.partial = r.partial || present < samples
		return nil
	}
	if len(claims) == 0 && !r.within(f) {
		return nil // not in a damaged block: retention has deleted it
	}
	for _, b := range claims {
		b.back++
	}
	if r.size == 0 {
		r.builder.begin(r.device, newBuffer("", nil).newest)
	}
	m := mark{position: f.Position, received: f.Received.UnixMilli(), offset: f.Offset}
	format := format{hash: f.SchemaHash, schema: f.Schema, message: f.SchemaBytes, quality: f.Quality}
	if err := r.builder.add(m, &format, bytes.Clone(f.Data)); err != nil { // texts in the block alias it until that is written
		return err
	}
	if r.size += len(f.Data); r.size >= targetMax {
		return r.write()
	}
	return nil
}

// written says whether a frame has been written to the file. The others are in memory, or the journal is about to bring them.
func (r *restorer) written(position uint64) bool {
	if position < r.h.state.cursor {
		return true
	}
	b := r.h.buffers[r.device]
	return b != nil && position <= r.last && (b.first == 0 || position < b.first)
}

// within says whether a frame may have been in a damaged block that does not say what it had.
func (r *restorer) within(f *Frame) bool {
	for i, t := range r.scratch.Times {
		r.scratch.Times[i] = shift(t, f.Offset)
	}
	first, last := slices.Min(r.scratch.Times), slices.Max(r.scratch.Times)
	return slices.ContainsFunc(r.lost, func(b *lostBlock) bool {
		return b.parts == nil && (b.First.IsZero() || first >= b.entry.first && last <= b.entry.last)
	})
}

// write writes what has been gathered.
func (r *restorer) write() error {
	if r.size == 0 {
		return nil
	}
	r.size = 0
	blocks, err := r.builder.end()
	if err != nil {
		return err
	}
	b := r.h.buffer(r.device)
	// The frames in memory stay there.
	b.taken = &taking{blocks: blocks, rest: b.records(), first: b.first, watermark: b.last}
	if b.first != 0 {
		b.taken.watermark = b.first - 1
	}
	defer func() { b.taken = nil }()
	return r.h.commit([]*buffer{b})
}

// finish deletes the blocks that nothing is missing of any more.
func (r *restorer) finish() (rebuilt int, err error) {
	var gone []entry
	for _, b := range r.lost {
		if r.all && !r.partial || b.parts != nil && b.back == len(b.parts) && !b.doubts {
			e := b.entry
			e.number = b.number
			gone = append(gone, e)
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	return len(gone), r.h.deleteDamaged(r.device, gone)
}

// deleteDamaged deletes damaged blocks, and what leads to them.
func (h *History) deleteDamaged(deviceID string, gone []entry) error {
	// The watermark stays: it says what the journal need not bring again.
	forget := func(recent *bolt.Bucket, key []byte) error {
		r, err := parseRecord(key, recent.Get(key))
		if err != nil || !r.block {
			return nil
		}
		r.block = false
		return recent.Put(key, r.append(nil))
	}
	return h.deleteBlocks(deviceID, gone, forget, func() {
		isGone := func(number uint64) bool {
			return slices.ContainsFunc(gone, func(e entry) bool { return e.number == number })
		}
		h.damage = slices.DeleteFunc(h.damage, func(d Damage) bool { return isGone(d.number) })
		if b := h.buffers[deviceID]; b != nil {
			kept := slices.DeleteFunc(slices.Clone(b.pending), func(e entry) bool { return isGone(e.number) }) // a scan may read the old list
			h.pending -= len(b.pending) - len(kept)
			b.pending = kept
		}
	})
}
