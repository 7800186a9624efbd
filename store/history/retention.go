package history

import (
	"math"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	defaultMaxBytes = 1 << 30
	// maxExpire bounds how many blocks one transaction deletes.
	maxExpire = 4096
	// copySpace is what a transaction needs besides: bbolt writes pages anew, and the old ones are free only afterwards.
	copySpace = 4 << 20
	// leastBytes is what is kept on the smallest disk.
	leastBytes = 1 << 20
)

// SetRoom says how much more the file may take on its disk, in bytes. While that is little, what comes takes the place of the
// oldest readings sooner than MaxBytes says: a file with less than copySpace of free pages would go on to grow. But nothing goes
// only because others have filled the disk.
func (h *History) SetRoom(bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := h.opts.MaxBytes
	if bytes < limit { // and so their sum can't overflow
		limit = min(limit, max(h.size+bytes-copySpace, min(h.limit.Load(), h.used), leastBytes))
	}
	h.limit.Store(limit)
}

// edge is where the blocks begin.
type edge struct {
	number   uint64 // of the oldest block; of the next one if there is none
	received int64  // when the newest of its frames came, ms since 1970; of a damaged block that is the one behind it which is sound
	position uint64 // of that frame in the journal; 0: all blocks are damaged, and their age is not known
}

func (h *History) findEdge(tx *bolt.Tx, s state) (edge, error) {
	c := tx.Bucket(bucketBlocks).Cursor()
	k, _ := c.First()
	if k == nil {
		return edge{number: s.next}, nil
	}
	number, err := parseNumberKey(k)
	if err != nil {
		return edge{}, err
	}
	at, err := h.soundFrom(c, number)
	at.number = number
	return at, err
}

// soundFrom returns the first block from a number on that is not damaged, as an edge; the zero edge if there is none.
func (h *History) soundFrom(c *bolt.Cursor, number uint64) (edge, error) {
	for k, v := c.Seek(numberKey(number)); k != nil; k, v = c.Next() {
		number, err := parseNumberKey(k)
		if err != nil {
			return edge{}, err
		}
		if at := h.edgeOf(v, number); at.position != 0 {
			return at, nil
		}
	}
	return edge{}, nil
}

// edgeOf returns the block as an edge. Of its frames that one is the newest which is so by the clock as it is now.
func (h *History) edgeOf(block []byte, number uint64) edge {
	at := edge{number: number}
	var newest time.Time
	for p := range partsOf(block, number) {
		if t := h.receipt(p.position, p.received); t.After(newest) {
			at.position, at.received, newest = p.position, p.received, t
		}
	}
	return at
}

func (h *History) receipt(position uint64, received int64) time.Time {
	return h.opts.Received(position, time.UnixMilli(received))
}

// expire deletes the oldest blocks that are too old, or that have to make room for added bytes. Their entries in recent and
// in the index stay behind until the index is brought up to date.
func (h *History) expire(tx *bolt.Tx, s *state, added int64) error {
	blocks := tx.Bucket(bucketBlocks)
	excess := h.used + added - h.limit.Load()
	var expired [][]byte
	var sound edge
	c, ahead := blocks.Cursor(), blocks.Cursor()
	for k, v := c.First(); k != nil && len(expired) < maxExpire; k, v = c.Next() {
		number, err := parseNumberKey(k)
		if err != nil {
			return err
		}
		if excess <= 0 {
			if sound.position == 0 || sound.number < number {
				if sound, err = h.soundFrom(ahead, number); err != nil {
					return err
				}
			}
			if !h.tooOld(sound) {
				break
			}
		}
		excess -= int64(len(v))
		expired = append(expired, numberKey(number))
	}
	// Not with the cursor: after its Delete, Next passes over a key.
	for _, k := range expired {
		if err := blocks.Delete(k); err != nil {
			return err
		}
	}
	s.blocks -= min(uint64(len(expired)), s.blocks)
	return nil
}

// tooOld tells whether a block is past its age. One that seems to have come before there was this program has an unknown age.
func (h *History) tooOld(at edge) bool {
	if h.opts.MaxAge <= 0 || at.position == 0 {
		return false
	}
	now := h.opts.Now() // before the receipt is looked at
	received := h.receipt(at.position, at.received)
	return received.After(wallclock.Floor) && now.Sub(received) > h.opts.MaxAge
}

// overAge tells whether the oldest block is to be deleted.
func (h *History) overAge() bool { return h.edge.number < h.state.next && h.tooOld(h.edge) }

// overLimit tells whether blocks are to be deleted.
func (h *History) overLimit() bool {
	return h.overAge() || h.edge.number < h.state.next && h.used > h.limit.Load()
}

// OldestPosition is the journal position of a frame in the oldest block of the file, math.MaxUint64 if there is none.
func (h *History) OldestPosition() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.edge.number == h.state.next {
		return math.MaxUint64
	}
	return h.edge.position
}

// EachReceipt calls f with the newest frame of every block that is not damaged, the oldest first, as long as it wants more.
func (h *History) EachReceipt(f func(position uint64, received time.Time) (more bool)) error {
	return h.file.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketBlocks).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			number, err := parseNumberKey(k)
			if err != nil {
				return err
			}
			if at := h.edgeOf(v, number); at.position != 0 && !f(at.position, time.UnixMilli(at.received)) {
				return nil
			}
		}
		return nil
	})
}
