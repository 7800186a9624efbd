package history

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// maxDamage bounds the list of damaged blocks.
const maxDamage = 4096

// Damage is a block that can't be read, so that readings are missing.
type Damage struct {
	Device      string    // empty: not known
	First, Last time.Time // of its readings; zero: not known

	number uint64
	entry  entry
}

// IncompleteError says that readings are missing because the file is damaged.
type IncompleteError struct {
	Device      string
	Blocks      int       // damaged ones
	First, Last time.Time // the missing readings are from First to Last; zero: not known
	Cause       string    // in words, if it is not damaged blocks
}

func (e *IncompleteError) Error() string {
	if e.Cause != "" {
		return fmt.Sprintf("some readings of %s may be missing: %s", e.Device, e.Cause)
	}
	text := fmt.Sprintf("not all readings of %s: %d blocks in history.db are damaged", e.Device, e.Blocks)
	if !e.First.IsZero() {
		text += fmt.Sprintf(", with readings from %s to %s", e.First.Format(time.RFC3339Nano), e.Last.Format(time.RFC3339Nano))
	}
	return text
}

// Damage returns the damaged blocks that are known: Open finds all there are, and readers those that become so later.
func (h *History) Damage() []Damage {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.damage = slices.DeleteFunc(h.damage, func(d Damage) bool { return d.number < h.edge.number }) // deleted by retention
	return slices.Clone(h.damage)
}

func newDamage(deviceID string, e entry) Damage {
	d := Damage{Device: deviceID, number: e.number, entry: e}
	if e.first <= e.last && e.hash != (device.Hash{}) {
		d.First, d.Last = device.Moment(e.first), device.Moment(e.last)
	}
	return d
}

// noteDamage lists a damaged block, once; mu is held.
func (h *History) noteDamage(d Damage) {
	known := slices.ContainsFunc(h.damage, func(o Damage) bool { return o.number == d.number })
	if !known && len(h.damage) < maxDamage {
		h.damage = append(h.damage, d)
	}
}

// verification compares all blocks of the file with what says where they are.
type verification struct {
	h       *History
	strict  bool // a block whose schema is missing is damaged
	first   uint64
	owners  []uint32          // of the blocks from number first on: ownerOf their devices; 0: not there, or damaged
	listed  []bool            // likewise: the index or recent leads to it
	bad     map[uint64]string // damaged blocks → the device they say they are of
	schemas map[device.Hash]*device.Schema
	missing map[device.Hash]bool // schemas that sound blocks need
	stale   [][]byte             // keys of the index that lead nowhere
	found   map[string][]entry   // sound blocks that nothing leads to
	damage  []Damage

	watermarks map[string]uint64 // the highest journal positions in the blocks found
}

func ownerOf(deviceID string) uint32 { return crc32.ChecksumIEEE([]byte(deviceID)) | 1 }

// verify finds the damaged blocks, and puts right what leads to the sound ones.
func (h *History) verify(strict bool) error {
	v := verification{
		h: h, strict: strict, bad: map[uint64]string{}, schemas: map[device.Hash]*device.Schema{}, missing: map[device.Hash]bool{},
		found: map[string][]entry{}, watermarks: map[string]uint64{},
	}
	err := h.file.View(func(tx *bolt.Tx) error {
		v.blocks(tx)
		v.index(tx)
		v.pending()
		v.unlisted(tx)
		return nil
	})
	if err := errors.Join(err, h.file.Release()); err != nil { // all of it has been read
		return err
	}
	for number, id := range v.bad {
		if !slices.ContainsFunc(v.damage, func(d Damage) bool { return d.number == number }) {
			v.damage = append(v.damage, newDamage(id, entry{number: number}))
		}
	}
	slices.SortFunc(v.damage, func(a, b Damage) int { return cmp.Compare(a.number, b.number) })
	written := v.mendIndex()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.missing, h.damage = v.missing, v.damage[:min(len(v.damage), maxDamage)]
	for id, entries := range v.found {
		b := h.buffer(id)
		b.last = max(b.last, v.watermarks[id]) // what said so may be damaged
		if written {
			continue
		}
		b.pending = append(b.pending, entries...)
		slices.SortFunc(b.pending, func(a, b entry) int { return cmp.Compare(a.number, b.number) })
		h.pending += len(entries)
	}
	return nil
}

// blocks reads all blocks.
func (v *verification) blocks(tx *bolt.Tx) {
	c := tx.Bucket(bucketBlocks).Cursor()
	for k, block := c.First(); k != nil; k, block = c.Next() {
		number, err := parseNumberKey(k)
		if err != nil || number >= v.h.state.next {
			continue
		}
		id, ok := v.sound(tx, block, number)
		if !ok {
			if len(v.bad) < maxDamage {
				v.bad[number] = id
			}
			continue
		}
		if v.owners == nil {
			v.first = number
		}
		for v.first+uint64(len(v.owners)) < number {
			v.owners = append(v.owners, 0)
		}
		v.owners = append(v.owners, ownerOf(id))
	}
	v.listed = make([]bool, len(v.owners))
}

// sound says whether a block can be read, and of which device it says it is.
func (v *verification) sound(tx *bolt.Tx, block []byte, number uint64) (id string, ok bool) {
	if len(block) < blockDevice {
		return "", false
	}
	id, hash, _, _ := blockHead(block)
	if !checkBlock(block, number) {
		return id, false
	}
	if v.schema(tx, hash) == nil {
		v.missing[hash] = true
		return id, !v.strict
	}
	return id, true
}

func (v *verification) schema(tx *bolt.Tx, hash device.Hash) *device.Schema {
	s, ok := v.schemas[hash]
	if !ok {
		s = readSchema(tx, hash)
		v.schemas[hash] = s
	}
	return s
}

// leads notes that an entry leads to its block, and returns false if it leads nowhere or to the block of another device.
func (v *verification) leads(id string, e entry) bool {
	at := e.number - v.first
	owner := uint32(0)
	if e.number >= v.first && at < uint64(len(v.owners)) {
		owner = v.owners[at]
	}
	switch {
	case owner == ownerOf(id):
		v.listed[at] = true
	case owner != 0 || e.number >= v.h.state.next:
		return false
	case e.number >= v.h.edge.number && !slices.ContainsFunc(v.damage, func(d Damage) bool { return d.number == e.number }):
		v.damage = append(v.damage, newDamage(id, e))
	}
	return true
}

// index reads all of the index.
func (v *verification) index(tx *bolt.Tx) {
	c := tx.Bucket(bucketIndex).Cursor()
	for k, value := c.First(); k != nil; k, value = c.Next() {
		id := k[:max(0, len(k)-indexTail-1)]
		e, err := parseIndex(k[max(0, len(k)-indexTail):], value)
		if err != nil || !v.leads(string(id), e) {
			v.stale = append(v.stale, bytes.Clone(k))
		}
	}
}

// pending looks at the blocks that are not in the index yet.
func (v *verification) pending() {
	v.h.mu.Lock()
	defer v.h.mu.Unlock()
	for id, b := range v.h.buffers {
		kept := slices.DeleteFunc(slices.Clone(b.pending), func(e entry) bool { return !v.leads(id, e) })
		v.h.pending -= len(b.pending) - len(kept)
		b.pending = kept
	}
}

// unlisted finds the sound blocks that nothing leads to.
func (v *verification) unlisted(tx *bolt.Tx) {
	var c contents
	for i, owner := range v.owners {
		if owner == 0 || v.listed[i] {
			continue
		}
		number := v.first + uint64(i)
		c.raw = append(c.raw[:0], tx.Bucket(bucketBlocks).Get(numberKey(number))...)
		id, hash, _, _ := blockHead(c.raw)
		if s := v.schema(tx, hash); s != nil && c.parse(s, nil) == nil {
			e := entry{number: number, first: slices.Min(c.data.Times), last: slices.Max(c.data.Times), hash: hash}
			v.found[id] = append(v.found[id], e)
			v.watermarks[id] = max(v.watermarks[id], c.parts[len(c.parts)-1].position)
		} else {
			v.bad[number] = id
		}
	}
}

// mendIndex takes out of the index what leads nowhere, and puts into it what was found. If it can't, it returns false, and what
// leads nowhere makes readers say that readings may be missing.
func (v *verification) mendIndex() bool {
	if len(v.stale)+len(v.found) == 0 {
		return true
	}
	err := v.h.file.Update(func(tx *bolt.Tx) error {
		index := tx.Bucket(bucketIndex)
		for _, k := range v.stale {
			if err := index.Delete(k); err != nil {
				return err
			}
		}
		for id, entries := range v.found {
			for i := range entries {
				key := appendIndexKey(nil, id, entries[i].first, entries[i].number)
				if err := index.Put(key, entries[i].appendIndexValue(nil, key)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	v.h.opts.Logger.Warn("what leads to blocks of the history was damaged, and is made again", "wrong", len(v.stale), "error", err)
	return err == nil
}

// Heal puts schemas into the file that it has lost: lookup returns the SCHEMA message with a hash, nil if there is none. What it
// can't be given makes blocks damaged.
func (h *History) Heal(lookup func(device.Hash) []byte) error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if len(h.missing) == 0 {
		return nil
	}
	err := h.update(func(tx *bolt.Tx) error {
		for hash := range h.missing {
			if message := lookup(hash); device.HashSchema(message) == hash {
				if err := tx.Bucket(bucketSchemas).Put(hash[:], message); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = h.verify(true)
	}
	if err != nil {
		return err
	}
	h.missing = nil // what is not to be had is not looked for again before the next start
	return nil
}
