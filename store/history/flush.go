package history

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	// blockBytes is the largest block of which two fit a page of bbolt: 16 bytes of page header, and for each 16 bytes
	// of element and 8 of key. A leaf page holds two values at least, so those a little longer would waste half of it.
	blockBytes = (4096-16)/2 - 16 - 8

	// How many bytes of DATA messages a device gathers for a block. They are measured for each device, because a block is
	// about half as long as the messages in it if those are small.
	targetStart = 3 << 10
	targetMin   = 1 << 10
	targetMax   = 6 << 10

	// batchSize is how many bytes of DATA messages have to be worth writing before a transaction is: every one rewrites
	// about ten pages besides.
	batchSize = 256 << 10
	// maxBatch bounds the memory a transaction takes.
	maxBatch = 1 << 20
	// maxBuffered bounds the memory for frames.
	maxBuffered = 8 << 20
	// maxUnwritten is how long a frame stays in memory only. The journal has to keep all that follows it.
	maxUnwritten = 10 * time.Minute
)

// taking is what a transaction takes from a buffer.
type taking struct {
	blocks    []built
	rest      records // what stays
	first     uint64  // position of the first frame of rest; 0 if there is none
	watermark uint64  // position of the last frame taken
	taken     int     // bytes of DATA messages
}

// Flush writes what is due, or all that is in memory. Nothing is due as long as little has been gathered and the last time
// everything was written is less than ten minutes ago. After an error the frames are still in memory, and the next Flush
// tries again.
func (h *History) Flush(all bool) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if err := h.usable(); err != nil {
		return err
	}
	all = all || h.Failing() != nil || h.buffered >= maxBuffered || h.opts.Now().Sub(h.written).Abs() >= maxUnwritten
	if !all && h.fullSize < batchSize {
		return nil
	}
	return h.flush(all)
}

const (
	// retryFlush is how long Add waits after a failed write before it tries again.
	retryFlush = 2 * time.Second
	// flushPause is how long Add gathers more than a batch before it writes again: many frames need not cost many transactions.
	flushPause = 250 * time.Millisecond
)

// flushDue tells whether Add should write the batch that is there.
func (h *History) flushDue() bool {
	if h.Failing() != nil {
		return time.Since(h.failedAt) >= retryFlush
	}
	if h.fullSize < h.askAgain {
		return false
	}
	h.askAgain = h.fullSize + 8<<10 // a clock is not to be read for each frame
	return h.fullSize >= maxBatch || time.Since(h.wroteAt) >= flushPause
}

// flush writes the full buffers, or all, and notes how that went.
func (h *History) flush(all bool) error {
	err := h.tryFlush(all)
	h.wroteAt, h.askAgain = time.Now(), 0
	if err != nil {
		h.failedAt = h.wroteAt
	}
	h.mu.Lock()
	h.failing = err
	h.mu.Unlock()
	return err
}

func (h *History) tryFlush(all bool) error {
	if h.unsure {
		if err := h.reload(); err != nil {
			return err
		}
	}
	if h.overLimit() && (h.limit.Load() < h.opts.MaxBytes || h.Failing() != nil) {
		// First, so that what follows finds free pages: the disk has no room for more. Where it has, that would only be one more write.
		if err := h.commit(nil); err != nil {
			return err
		}
	}
	if h.pending >= h.indexAt() {
		return h.updateIndex()
	}
	if !all {
		return h.write(h.full, false)
	}
	return h.writeAll()
}

// writeAll writes everything in memory and the cursor.
func (h *History) writeAll() error {
	var filled []*buffer
	for _, b := range h.buffers {
		if b.first != 0 {
			filled = append(filled, b)
		}
	}
	if err := h.write(filled, true); err != nil {
		return err
	}
	if h.state.cursor != h.next || h.overAge() {
		if err := h.commit(nil); err != nil {
			return err
		}
	}
	h.mu.Lock()
	h.written = h.opts.Now()
	h.mu.Unlock()
	return nil
}

// write writes the frames of these buffers, in transactions of bounded size: whole blocks only, or all.
func (h *History) write(buffers []*buffer, all bool) error {
	buffers = append([]*buffer(nil), buffers...) // h.full changes meanwhile
	for len(buffers) > 0 {
		n, size := 0, 0
		var err error
		for n < len(buffers) && size < maxBatch && err == nil {
			b := buffers[n]
			if b.taken, err = h.take(b, all); err == nil {
				size += b.taken.taken
			}
			n++
		}
		batch := buffers[:n]
		if err == nil {
			err = h.commit(batch)
		}
		for _, b := range batch {
			b.taken = nil
		}
		if err != nil {
			return err
		}
		buffers = buffers[n:]
	}
	return nil
}

// take makes blocks of the frames in b, as long as they fill one, or of all of them.
func (h *History) take(b *buffer, all bool) (*taking, error) {
	t := &taking{rest: b.records()}
	for left := b.size; left > 0 && (all || left >= b.target); left = b.size - t.taken {
		rest, n, blocks, err := h.fill(b, t.rest)
		if err != nil {
			return nil, err
		}
		if len(blocks) == 1 && n >= b.target {
			full := n * blockBytes / len(blocks[0].value)
			b.target = min(max(full*31/32, targetMin), targetMax) // a little less: the next block may be a little longer
		}
		b.newest = h.builder.newest
		t.blocks = append(t.blocks, blocks...)
		t.taken += n
		t.rest, t.watermark = rest, rest.position
	}
	peek := t.rest
	if _, _, ok := peek.next(); ok {
		t.first = peek.position
	}
	return t, nil
}

// fill makes blocks of the first frames of r, of which the buffer's target says how many, and returns what is left.
func (h *History) fill(b *buffer, r records) (rest records, n int, blocks []built, err error) {
	h.builder.begin(b.device, b.newest)
	for n < b.target {
		f, data, ok := r.next()
		if !ok {
			break
		}
		n += len(data)
		err := h.builder.add(r.mark, f, data)
		if _, undecodable := errors.AsType[*device.DataError](err); undecodable {
			h.opts.Logger.Error("a frame can't be decoded, and is left out of the history", "error", err)
		} else if err != nil {
			return r, n, nil, err
		}
	}
	blocks, err = h.builder.end()
	return r, n, blocks, err
}

// commit writes what the buffers' takings hold, deletes what retention says, and moves the cursor, in one transaction.
func (h *History) commit(batch []*buffer) error {
	number, cursor := h.state.next, h.cursorAfter()
	return h.change(func(tx *bolt.Tx, s *state) error {
		s.cursor = cursor
		length, err := putBlocks(tx, batch, s)
		if err != nil {
			return err
		}
		return h.expire(tx, s, length)
	}, func() {
		for _, b := range batch {
			for i := range b.taken.blocks {
				e := b.taken.blocks[i].entry
				e.number = number
				b.pending = append(b.pending, e)
				number++
			}
			h.pending += len(b.taken.blocks)
			h.buffered -= b.drop(b.taken.rest)
		}
		h.listFull()
	})
}

// listFull lists the full buffers again.
func (h *History) listFull() {
	clear(h.full)
	h.full, h.fullSize = h.full[:0], 0
	for _, b := range h.buffers {
		b.full = false
		h.noteSize(b, 0)
	}
}

// cursorAfter is the position of the first frame that will not be in the file once the takings are.
func (h *History) cursorAfter() uint64 {
	cursor := h.next
	for _, b := range h.buffers {
		first := b.first
		if b.taken != nil {
			first = b.taken.first
		}
		if first != 0 {
			cursor = min(cursor, first)
		}
	}
	return cursor
}

// putBlocks writes the blocks of the takings, what recent says of them, and their schemas.
func putBlocks(tx *bolt.Tx, batch []*buffer, s *state) (length int64, err error) {
	blocks, recent, schemas := tx.Bucket(bucketBlocks), tx.Bucket(bucketRecent), tx.Bucket(bucketSchemas)
	blocks.FillPercent, recent.FillPercent = 1, 1 // keys ascend
	for _, b := range batch {
		for i := range b.taken.blocks {
			block := &b.taken.blocks[i]
			r := record{entry: block.entry, device: b.device, watermark: b.taken.watermark, block: true}
			r.number = s.next
			key := numberKey(r.number)
			sealBlock(block.value, r.number)
			if err := errors.Join(blocks.Put(key, block.value), recent.Put(key, r.append(nil))); err != nil {
				return 0, err
			}
			if f := block.format; !bytes.Equal(schemas.Get(f.hash[:]), f.message) {
				if err := schemas.Put(f.hash[:], f.message); err != nil {
					return 0, err
				}
			}
			length += int64(len(block.value))
			s.next++
			s.blocks++
		}
	}
	return length, nil
}

// update runs a write transaction. When it fails nobody knows whether it has taken place, unless the next one looks.
func (h *History) update(fn func(*bolt.Tx) error) error {
	err := h.file.Update(fn)
	if err != nil {
		h.unsure = true
		return fmt.Errorf("write history: %w", err)
	}
	return nil
}

// change runs a write transaction in which fn changes the file and the state. When it has taken place, the state and where the blocks
// begin then are in force, and done changes what is in memory; mu is held.
func (h *History) change(fn func(tx *bolt.Tx, s *state) error, done func()) error {
	s := h.state
	var at edge
	err := h.update(func(tx *bolt.Tx) (err error) {
		if err := fn(tx, &s); err != nil {
			return err
		}
		if at, err = h.findEdge(tx, s); err != nil {
			return err
		}
		return s.put(tx)
	})
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.edge = s, at
	done()
	return h.measure()
}

// measure asks how large the file is. mu is held.
func (h *History) measure() (err error) {
	h.size, h.used, err = h.file.Space()
	return errors.Join(err, h.file.Release())
}
