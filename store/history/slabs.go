package history

import "math/bits"

const (
	smallestSlab = 256 // bytes
	maxSlabs     = 64  // of a size
)

// slabs is memory for the records of buffers, which grow and are dropped all the time: kept by size, each twice the one before.
type slabs [6][][]byte

// room returns b with room for n more bytes, in larger memory if need be.
func (s *slabs) room(b []byte, n int) []byte {
	n += len(b)
	if n <= cap(b) {
		return b
	}
	i := bits.Len(uint(n-1) / smallestSlab)
	if i >= len(s) {
		return append(make([]byte, 0, max(n, 2*cap(b))), b...)
	}
	var larger []byte
	if free := s[i]; len(free) > 0 {
		larger, s[i] = free[len(free)-1], free[:len(free)-1]
	} else {
		larger = make([]byte, 0, smallestSlab<<i)
	}
	larger = append(larger, b...)
	s.put(b)
	return larger
}

// put takes memory that is not used any more.
func (s *slabs) put(b []byte) {
	i := bits.Len(uint(cap(b))/smallestSlab) - 1
	if i >= 0 && i < len(s) && cap(b) == smallestSlab<<i && len(s[i]) < maxSlabs {
		s[i] = append(s[i], b[:0])
	}
}
