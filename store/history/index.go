package history

import (
	"maps"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	// indexBatch is how many entries of the index a transaction puts or deletes.
	indexBatch = 2048
	// maxPending bounds the memory for entries that are not in the index yet.
	maxPending = 16 << 10
)

// indexAt is how many pending entries are enough to bring the index up to date: the more, the fewer pages each one costs.
// A small history has fewer, so that the entries of blocks long deleted do not outweigh those that are there.
func (h *History) indexAt() int { return int(min(max(h.limit.Load()>>14, 256), maxPending)) }

// updateIndex brings the index up to date and empties recent. It writes all that is in memory first: then the cursor makes the
// watermarks unnecessary, but for frames that the journal is about to bring once more.
func (h *History) updateIndex() error {
	if err := h.writeAll(); err != nil {
		return err
	}
	if err := h.putPending(); err != nil {
		return err
	}
	schemas, err := h.cleanIndex()
	if err != nil {
		return err
	}
	return h.finishIndex(schemas)
}

// putPending puts the pending entries into the index, neighbours together. If it is interrupted recent still has them.
func (h *History) putPending() error {
	type keyed struct {
		device string
		entry
	}
	var batch []keyed
	put := func() error {
		err := h.update(func(tx *bolt.Tx) error {
			index := tx.Bucket(bucketIndex)
			for i := range batch {
				e := &batch[i]
				key := appendIndexKey(nil, e.device, e.first, e.number)
				if err := index.Put(key, e.appendIndexValue(nil, key)); err != nil {
					return err
				}
			}
			return nil
		})
		batch = batch[:0]
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(h.buffers)) {
		for _, e := range h.buffers[id].pending {
			if e.number < h.edge.number {
				continue
			}
			if batch = append(batch, keyed{id, e}); len(batch) == indexBatch {
				if err := put(); err != nil {
					return err
				}
			}
		}
	}
	if len(batch) == 0 {
		return nil
	}
	return put()
}

// cleanIndex deletes the entries of blocks that retention has deleted, and returns the schemas of the others.
func (h *History) cleanIndex() (map[device.Hash]bool, error) {
	schemas := map[device.Hash]bool{}
	var from []byte
	for {
		dead, next, err := h.deadEntries(from, schemas)
		if err != nil {
			return nil, err
		}
		if len(dead) > 0 {
			err := h.update(func(tx *bolt.Tx) error {
				for _, k := range dead {
					if err := tx.Bucket(bucketIndex).Delete(k); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		if next == nil {
			return schemas, nil
		}
		from = next
	}
}

// deadEntries looks through a stretch of the index from a key on. next is where to go on, nil at the end.
func (h *History) deadEntries(from []byte, schemas map[device.Hash]bool) (dead [][]byte, next []byte, err error) {
	err = h.file.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketIndex).Cursor()
		seen := 0
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			if seen == 4*indexBatch || len(dead) == indexBatch {
				next = slices.Clone(k)
				return nil
			}
			seen++
			e, err := parseIndex(k[max(0, len(k)-indexTail):], v)
			if err != nil || e.number < h.edge.number {
				dead = append(dead, slices.Clone(k))
				continue
			}
			schemas[e.hash] = true
		}
		return nil
	})
	return dead, next, err
}

// finishIndex empties recent, but for the watermarks still needed, deletes the schemas no block has, and forgets what is in the index.
func (h *History) finishIndex(schemas map[device.Hash]bool) error {
	return h.change(func(tx *bolt.Tx, s *state) error {
		if err := tx.DeleteBucket(bucketRecent); err != nil {
			return err
		}
		recent, err := tx.CreateBucket(bucketRecent)
		if err != nil {
			return err
		}
		for _, b := range h.buffers {
			if b.last < s.cursor {
				continue
			}
			r := record{entry: entry{number: s.next}, device: b.device, watermark: b.last}
			s.next++
			if err := recent.Put(numberKey(r.number), r.append(nil)); err != nil {
				return err
			}
		}
		var unused [][]byte
		c := tx.Bucket(bucketSchemas).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if len(k) != device.HashSize || !schemas[device.Hash(k)] {
				unused = append(unused, slices.Clone(k))
			}
		}
		for _, k := range unused {
			if err := tx.Bucket(bucketSchemas).Delete(k); err != nil {
				return err
			}
		}
		return nil
	}, func() {
		for id, b := range h.buffers {
			b.pending = nil
			if b.last < h.state.cursor {
				delete(h.buffers, id)
			}
		}
		h.pending = 0
	})
}
