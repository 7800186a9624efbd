package device

import (
	"encoding/binary"
	"math/bits"
)

// uvarint reads an unsigned LEB128 varint from the start of b and returns it with its length in bytes. The length is 0
// if b ends inside the varint, if it is longer than its value needs, or if the value needs more than 64 bits.
func uvarint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 { // most are, and this much is inlined
		return uint64(b[0]), 1
	}
	return longUvarint(b)
}

func longUvarint(b []byte) (v uint64, n int) {
	for i, c := range b[:min(len(b), binary.MaxVarintLen64)] {
		if c >= 0x80 {
			v |= uint64(c&0x7f) << (7 * i)
			continue
		}
		if c == 0 || i == binary.MaxVarintLen64-1 && c > 1 {
			return 0, 0
		}
		return v | uint64(c)<<(7*i), i + 1
	}
	return 0, 0
}

// appendUvarint appends v as a varint.
func appendUvarint(dst []byte, v uint64) []byte {
	if v < 0x80 {
		return append(dst, byte(v))
	}
	return binary.AppendUvarint(dst, v)
}

// uvarintLen is how many bytes v takes as a varint.
func uvarintLen(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// zigzag maps 0, −1, 1, −2, 2 … to 0, 1, 2, 3, 4 …, so that small numbers of either sign make short varints.
func zigzag(v int64) uint64 { return uint64(v<<1) ^ uint64(v>>63) }

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// addInt64 is a + b, and false if the sum does not fit.
func addInt64(a, b int64) (int64, bool) {
	sum := a + b
	return sum, (sum > a) == (b > 0)
}

// subInt64 is a − b, and false if the difference does not fit.
func subInt64(a, b int64) (int64, bool) {
	diff := a - b
	return diff, (diff < a) == (b > 0)
}
