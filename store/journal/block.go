package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"iter"
	"math"
	"time"
)

const (
	// MaxCommit is the most bytes of entries that one Commit takes. A reader
	// believes no length above it.
	MaxCommit = 4 << 20

	headerSize  = 40
	trailerSize = 4
	// blockOverhead is what a block takes beside its entries; it is also the
	// size of a seal, which has none.
	blockOverhead = headerSize + trailerSize

	// maxPosition leaves room above, so that no sum of positions overflows.
	maxPosition = math.MaxUint64 / 2
)

var (
	magic      = []byte("TJB1")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// header is the fixed part of a block. A header without entries is a seal: it
// ends a segment and says at which position the next one begins.
type header struct {
	length int    // bytes of entries
	first  uint64 // position of the first entry
	count  int    // entries
	time   int64  // commit time, µs since 1970
	mask   uint64
}

func (h *header) next() uint64 { return h.first + uint64(h.count) }
func (h *header) size() int64  { return int64(h.length) + blockOverhead }
func (h *header) isSeal() bool { return h.count == 0 }

// appendBlock appends a whole block to dst: h, the entries under a fresh
// mask, and their checksum. It fills in h.length and h.mask.
func appendBlock(dst []byte, h *header, entries []byte) []byte {
	start := len(dst)
	h.length = len(entries)
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.length))
	dst = binary.LittleEndian.AppendUint64(dst, h.first)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.count))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.time))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	mask := dst[len(dst)-8:]
	rand.Read(mask) // never fails
	h.mask = binary.LittleEndian.Uint64(mask)
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
	dst = append(dst, entries...)
	applyMask(dst[start+headerSize:], h.mask)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// parseHeader reads the header at the start of b. It is false for anything
// that no Commit wrote: wrong magic or checksum, lengths beyond the limits.
func parseHeader(b []byte) (h header, ok bool) {
	if len(b) < headerSize || !bytes.Equal(b[:4], magic) {
		return h, false
	}
	if binary.LittleEndian.Uint32(b[36:]) != crc32.Checksum(b[:36], castagnoli) {
		return h, false
	}
	length, count := binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[16:])
	h.first = binary.LittleEndian.Uint64(b[8:])
	h.time = int64(binary.LittleEndian.Uint64(b[20:]))
	h.mask = binary.LittleEndian.Uint64(b[28:])
	// Every entry takes at least the byte that says its length.
	if length > MaxCommit || count > length || (count == 0) != (length == 0) || h.first < 1 || h.first > maxPosition {
		return h, false
	}
	h.length, h.count = int(length), int(count)
	return h, true
}

// unmask checks a whole block, of which h is the header, and turns its entries
// readable in place. It returns false, with the bytes in no useful state, if
// the checksum is wrong or there are not exactly h.count entries.
func unmask(h *header, block []byte) (entries []byte, ok bool) {
	end := headerSize + h.length
	if binary.LittleEndian.Uint32(block[end:]) != crc32.Checksum(block[:end], castagnoli) {
		return nil, false
	}
	entries = block[headerSize:end]
	applyMask(entries, h.mask)
	count, ok := countEntries(entries)
	return entries, ok && count == h.count
}

// applyMask combines b with the repeated mask; a second time undoes it.
func applyMask(b []byte, mask uint64) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^mask)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= byte(mask >> (8 * i))
	}
}

// AppendEntry appends entry to the entries of a coming Commit. An entry may
// be empty.
func AppendEntry(dst, entry []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(entry)))
	return append(dst, entry...)
}

// cutEntry takes the first entry off b. It is false if b does not begin with
// a whole one.
func cutEntry(b []byte) (entry, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return nil, nil, false
	}
	b = b[n:]
	return b[:length:length], b[length:], true
}

// countEntries returns how many entries b holds; false if it ends inside one.
func countEntries(b []byte) (count int, ok bool) {
	for len(b) > 0 {
		if _, b, ok = cutEntry(b); !ok {
			return 0, false
		}
		count++
	}
	return count, true
}

// Gap is a range of positions, both ends included. The zero Gap is empty.
type Gap struct{ First, Last uint64 }

// Count returns how many positions the gap spans.
func (g Gap) Count() uint64 {
	if g.First == 0 {
		return 0
	}
	return g.Last - g.First + 1
}

// Block is what one Commit wrote, or the end of it where a reader started
// inside.
type Block struct {
	First   uint64    // position of the first entry
	Count   int       // entries, at least 1
	Time    time.Time // commit time, µs precision
	Skipped Gap       // positions just before First that are lost to damage

	entries []byte
}

// Entries yields every entry of the block with its position. The bytes are
// valid until the reader's next call of Next.
func (b *Block) Entries() iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		rest := b.entries
		for position := b.First; len(rest) > 0; position++ {
			entry, after, ok := cutEntry(rest)
			if !ok || !yield(position, entry) {
				return
			}
			rest = after
		}
	}
}

// NewBlock returns the block that a Commit of these entries wrote at a position.
func NewBlock(first uint64, count int, commitTime time.Time, entries []byte) Block {
	return Block{First: first, Count: count, Time: commitTime, entries: entries}
}

// Take takes the first entry off the block; false if there is none.
func (b *Block) Take() (entry []byte, ok bool) {
	if entry, b.entries, ok = cutEntry(b.entries); ok {
		b.First++
		b.Count--
	}
	return entry, ok
}

// StartAt takes off the entries before position, which lies within the block.
func (b *Block) StartAt(position uint64) {
	for b.First < position {
		b.Take()
	}
}
