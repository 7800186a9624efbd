package device

import (
	"errors"
	"fmt"
)

// Range is the sequence numbers from First to Last, both included.
type Range struct{ First, Last uint64 }

// Ranges are ascending and disjoint. In CBOR they are one flat array: [first, last, first, last, …].
type Ranges []Range

// Count is how many sequence numbers the ranges hold.
func (r Ranges) Count() uint64 {
	var n uint64
	for _, x := range r {
		n += x.Last - x.First + 1
	}
	return n
}

// Validate tells whether there are at most MaxRanges ranges, ascending and disjoint, within 1 to MaxSeq.
func (r Ranges) Validate() error {
	if len(r) > MaxRanges {
		return fmt.Errorf("%d ranges, at most %d", len(r), MaxRanges)
	}
	var before uint64
	for _, x := range r {
		if x.First <= before || x.Last < x.First || x.Last > MaxSeq {
			return fmt.Errorf("range %d–%d does not ascend within 1–%d", x.First, x.Last, uint64(MaxSeq))
		}
		before = x.Last
	}
	return nil
}

// MarshalCBOR implements cbor.Marshaler.
func (r Ranges) MarshalCBOR() ([]byte, error) { return appendRanges(nil, r), nil }

// UnmarshalCBOR implements cbor.Unmarshaler.
func (r *Ranges) UnmarshalCBOR(b []byte) error {
	var flat []uint64
	if err := decMode.Unmarshal(b, &flat); err != nil {
		return err
	}
	if len(flat)%2 != 0 {
		return errors.New("a range without its end")
	}
	*r = make(Ranges, 0, len(flat)/2)
	for i := 0; i < len(flat); i += 2 {
		*r = append(*r, Range{flat[i], flat[i+1]})
	}
	return nil
}

// AppendAck appends an ACK of the ranges to dst: the bytes AppendControl makes of an Ack, without allocating. There
// should be at most MaxRanges of them.
func AppendAck(dst []byte, r Ranges) []byte {
	const mapOfOne, keyRanges = cborMap | 1, cborUint | 1
	return appendRanges(append(dst, byte(TypeAck), mapOfOne, keyRanges), r)
}

func appendRanges(dst []byte, r Ranges) []byte {
	dst = appendHead(dst, cborArray, uint64(2*len(r)))
	for _, x := range r {
		dst = appendHead(dst, cborUint, x.First)
		dst = appendHead(dst, cborUint, x.Last)
	}
	return dst
}

// Major types of CBOR (RFC 8949 §3.1), in the place they have in the first byte.
const (
	cborUint  = 0 << 5
	cborArray = 4 << 5
	cborMap   = 5 << 5
)

// appendHead appends the head of a CBOR item in its shortest form (RFC 8949 §4.2.1).
func appendHead(dst []byte, major byte, v uint64) []byte {
	switch {
	case v < 24:
		return append(dst, major|byte(v))
	case v < 1<<8:
		return append(dst, major|24, byte(v))
	case v < 1<<16:
		return append(dst, major|25, byte(v>>8), byte(v))
	case v < 1<<32:
		return append(dst, major|26, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	default:
		return append(dst, major|27, byte(v>>56), byte(v>>48), byte(v>>40), byte(v>>32),
			byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
}
