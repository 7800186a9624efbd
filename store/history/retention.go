package history

import (
	bolt "go.etcd.io/bbolt"
)

const (
	defaultMaxBytes = 1 << 30
	// maxExpire bounds how many blocks one transaction deletes.
	maxExpire = 4096
)

// edge is where the blocks begin.
type edge struct {
	number   uint64 // of the oldest block; of the next one if there is none
	received int64  // its newest time of receipt, ms since 1970
}

func findEdge(tx *bolt.Tx, s state) (edge, error) {
	k, v := tx.Bucket(bucketBlocks).Cursor().First()
	if k == nil {
		return edge{number: s.next}, nil
	}
	number, err := parseNumberKey(k)
	return edge{number: number, received: receivedOf(v, number)}, err
}

// expire deletes the oldest blocks that are too old, or that have to make room for added bytes. Their entries in recent and
// in the index stay behind until the index is brought up to date.
func (h *History) expire(tx *bolt.Tx, s *state, added int64) error {
	blocks := tx.Bucket(bucketBlocks)
	excess := h.used + added - h.opts.MaxBytes
	var expired [][]byte
	c := blocks.Cursor()
	for k, v := c.First(); k != nil && len(expired) < maxExpire; k, v = c.Next() {
		number, err := parseNumberKey(k)
		if err != nil {
			return err
		}
		if excess <= 0 && !h.tooOld(receivedOf(v, number)) {
			break
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

// tooOld tells whether a block with this newest time of receipt is past its age.
func (h *History) tooOld(received int64) bool {
	return h.opts.MaxAge > 0 && received < h.opts.Now().Add(-h.opts.MaxAge).UnixMilli()
}

// overAge tells whether the oldest block is to be deleted.
func (h *History) overAge() bool { return h.oldest < h.state.next && h.tooOld(h.received) }

// overLimit tells whether blocks are to be deleted.
func (h *History) overLimit() bool {
	return h.overAge() || h.oldest < h.state.next && h.used > h.opts.MaxBytes
}
