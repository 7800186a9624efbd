package history

import (
	"errors"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// removeBatch is how many blocks a transaction of Remove deletes: each may change a page of its own.
const removeBatch = 512

// Remove forgets everything of a device that stands in the journal before this point. What comes later is kept, also when the
// journal is read again from before the removal.
func (h *History) Remove(deviceID string) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if err := h.usable(); err != nil {
		return err
	}
	if h.unsure {
		if err := h.reload(); err != nil {
			return err
		}
	}
	batch, err := h.entriesOf(deviceID)
	if err != nil || len(batch) == 0 && h.buffers[deviceID] == nil {
		return err
	}
	if err := h.forget(deviceID); err != nil {
		return err
	}
	for len(batch) > 0 {
		if err := h.deleteEntries(deviceID, batch); err != nil {
			return err
		}
		if batch, err = h.entriesOf(deviceID); err != nil {
			return err
		}
	}
	return nil
}

// forget drops the device's frames in memory and moves its watermark to this point, back if need be: what the journal holds
// behind it is to be taken once more, because the blocks that have it are about to be deleted.
func (h *History) forget(deviceID string) error {
	b := h.buffer(deviceID)
	b.taken = &taking{}
	defer func() { b.taken = nil }()
	cursor, watermark := h.cursorAfter(), h.next-1
	return h.change(func(tx *bolt.Tx, s *state) error {
		s.cursor = cursor
		r := record{entry: entry{number: s.next}, device: deviceID, watermark: watermark}
		s.next++
		return tx.Bucket(bucketRecent).Put(numberKey(r.number), r.append(nil))
	}, func() {
		h.buffered -= b.drop(records{})
		b.last = watermark
		h.listFull()
	})
}

// entriesOf returns some blocks of the device, none if there are no more.
func (h *History) entriesOf(deviceID string) ([]entry, error) {
	if b := h.buffers[deviceID]; b != nil && len(b.pending) > 0 {
		return b.pending[max(0, len(b.pending)-removeBatch):], nil
	}
	walk := newIndexWalk(deviceID, openBounds)
	return walk.next(h, removeBatch)
}

// deleteEntries deletes blocks, the last ones of the device's pending entries or some of the index.
func (h *History) deleteEntries(deviceID string, batch []entry) error {
	return h.deleteBlocks(deviceID, batch, (*bolt.Bucket).Delete, func() {
		h.damage = slices.DeleteFunc(h.damage, func(d Damage) bool { return d.Device == deviceID })
		if b := h.buffers[deviceID]; b != nil && len(b.pending) > 0 {
			b.pending = slices.Clip(b.pending[:len(b.pending)-len(batch)]) // a scan may read what follows
			h.pending -= len(batch)
		}
	})
}

// deleteBlocks deletes blocks of a device and what the index has of them. What recent has of them is for forget to change; done is
// called when all that has taken place, with mu held.
func (h *History) deleteBlocks(deviceID string, gone []entry, forget func(recent *bolt.Bucket, key []byte) error, done func()) error {
	return h.change(func(tx *bolt.Tx, s *state) error {
		blocks, recent, index := tx.Bucket(bucketBlocks), tx.Bucket(bucketRecent), tx.Bucket(bucketIndex)
		for _, e := range gone {
			key := numberKey(e.number)
			if blocks.Get(key) != nil {
				s.blocks -= min(1, s.blocks)
			}
			err := errors.Join(blocks.Delete(key), index.Delete(appendIndexKey(nil, deviceID, e.first, e.number)), forget(recent, key))
			if err != nil {
				return err
			}
		}
		return nil
	}, func() {
		h.removals++
		done()
	})
}
