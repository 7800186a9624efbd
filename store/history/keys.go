package history

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// The buckets of history.db. All integers in keys are big endian, so that keys sort by them.
//
//	history.db
//	├─ meta
//	│  ├─ format   1
//	│  ├─ state    see state
//	│  └─ state2   the same once more
//	├─ blocks      block number u64 → block, see block.go
//	├─ recent      block number u64 → what index will say of the block, and the watermark; see record
//	├─ index       device ‖ 0x00 ‖ first time i64 with the sign bit flipped ‖ block number u64 → last time i64 ‖ schema hash ‖ checksum
//	└─ schemas     schema hash → SCHEMA message
//
// Blocks are numbered in the order they are written, so a transaction adds pages at the right edge of blocks and of recent
// only, and retention takes them away at the left edge. The index would cost a page of its own for every block: it is
// brought up to date seldom, for thousands of blocks at once, and until then memory and recent hold its entries.
var (
	bucketMeta    = []byte("meta")
	bucketBlocks  = []byte("blocks")
	bucketRecent  = []byte("recent")
	bucketIndex   = []byte("index")
	bucketSchemas = []byte("schemas")

	keyFormat = []byte("format")
	keyState  = []byte("state")

	keyStateCopy = []byte("state2")

	formatNow = []byte{1}
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errValue = errors.New("a damaged value")

// seal appends the checksum of b: bbolt has none on its data pages.
func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func unseal(b []byte) ([]byte, error) {
	n := len(b) - 4
	if n < 0 || binary.BigEndian.Uint32(b[n:]) != crc32.Checksum(b[:n], castagnoli) {
		return nil, errValue
	}
	return b[:n], nil
}

// state is what a transaction leaves behind.
type state struct {
	cursor uint64 // journal position before which every frame is in the file
	next   uint64 // number of the next block
	blocks uint64 // how many there are
}

func (s state) append(dst []byte) []byte {
	for _, v := range []uint64{s.cursor, s.next, s.blocks} {
		dst = binary.BigEndian.AppendUint64(dst, v)
	}
	return seal(dst)
}

// put writes the state, twice: without it nobody knows where to go on.
func (s state) put(tx *bolt.Tx) error {
	meta, value := tx.Bucket(bucketMeta), s.append(nil)
	return errors.Join(meta.Put(keyState, value), meta.Put(keyStateCopy, value))
}

// readState reads what put wrote.
func readState(tx *bolt.Tx) (state, error) {
	meta := tx.Bucket(bucketMeta)
	s, err := parseState(meta.Get(keyState))
	if err != nil {
		return parseState(meta.Get(keyStateCopy))
	}
	return s, nil
}

func parseState(b []byte) (s state, err error) {
	if b, err = unseal(b); err != nil || len(b) != 24 {
		return state{}, errValue
	}
	u64 := binary.BigEndian.Uint64
	return state{cursor: u64(b), next: u64(b[8:]), blocks: u64(b[16:])}, nil
}

func numberKey(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }

func parseNumberKey(k []byte) (uint64, error) {
	if len(k) != 8 {
		return 0, errValue
	}
	return binary.BigEndian.Uint64(k), nil
}

// entry is what the index says of a block.
type entry struct {
	number      uint64
	first, last int64 // µs since 1970, the lowest and the highest time in the block
	hash        device.Hash
}

// before orders entries as the index does.
func (e *entry) before(o *entry) bool {
	return e.first < o.first || e.first == o.first && e.number < o.number
}

// indexPrefix begins the index keys of one device. No id is a prefix of another's with the 0x00 behind it.
func indexPrefix(deviceID string) []byte { return append([]byte(deviceID), 0) }

func appendIndexKey(dst []byte, deviceID string, first int64, number uint64) []byte {
	dst = append(append(dst, deviceID...), 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(first)^1<<63)
	return binary.BigEndian.AppendUint64(dst, number)
}

// appendIndexValue appends the value for a key; the checksum covers the times and the number in the key too.
func (e *entry) appendIndexValue(dst, key []byte) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.last))
	dst = append(dst, e.hash[:]...)
	return binary.BigEndian.AppendUint32(dst, indexChecksum(key[len(key)-indexTail:], dst[start:]))
}

// indexTail is the length of an index key behind the device.
const indexTail = 8 + 8

func indexChecksum(tail, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(tail, castagnoli), castagnoli, value)
}

// parseIndex reads what follows the device in an index key, and its value.
func parseIndex(tail, v []byte) (e entry, err error) {
	n := 8 + device.HashSize
	if len(tail) != indexTail || len(v) != n+4 || binary.BigEndian.Uint32(v[n:]) != indexChecksum(tail, v[:n]) {
		return entry{}, errValue
	}
	e.first = int64(binary.BigEndian.Uint64(tail) ^ 1<<63)
	e.number = binary.BigEndian.Uint64(tail[8:])
	e.last = int64(binary.BigEndian.Uint64(v))
	copy(e.hash[:], v[8:])
	return e, nil
}

// record is a value of recent: the block's entry, and the watermark, the position up to which all frames of the device
// are in the file. A record without a block only sets the watermark.
type record struct {
	entry
	device    string
	watermark uint64
	block     bool
}

func (r *record) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, r.watermark)
	dst = binary.AppendUvarint(dst, uint64(len(r.device)))
	dst = append(dst, r.device...)
	if r.block {
		dst = binary.AppendVarint(dst, r.first)
		dst = binary.AppendVarint(dst, r.last)
		dst = append(dst, r.hash[:]...)
	}
	return seal(dst)
}

func parseRecord(k, v []byte) (r record, err error) {
	if r.number, err = parseNumberKey(k); err != nil {
		return r, err
	}
	if v, err = unseal(v); err != nil {
		return r, err
	}
	d := decoder{rest: v}
	r.watermark = d.uvarint()
	r.device = string(d.bytes(d.uvarint()))
	if r.block = len(d.rest) > 0; r.block {
		r.first, r.last = d.varint(), d.varint()
		copy(r.hash[:], d.bytes(device.HashSize))
	}
	return r, d.end()
}

// decoder reads integers and strings; once something is missing it yields zeros.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	return v * d.skip(n)
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	return v * int64(d.skip(n))
}

// skip passes n bytes and returns 1, or 0 if that can't be.
func (d *decoder) skip(n int) uint64 {
	if n <= 0 || d.bad {
		d.bad, d.rest = true, nil
		return 0
	}
	d.rest = d.rest[n:]
	return 1
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// end returns an error unless everything has been read, and nothing was missing.
func (d *decoder) end() error {
	if d.bad || len(d.rest) > 0 {
		return errValue
	}
	return nil
}
