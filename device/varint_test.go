package device

import (
	"encoding/binary"
	"math"
	"testing"
)

func TestUvarint(t *testing.T) {
	values := []uint64{0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 1<<32 - 1, 1 << 53, 1 << 63, math.MaxUint64}
	for shift := range 64 {
		values = append(values, 1<<shift, 1<<shift-1)
	}
	for _, v := range values {
		b := binary.AppendUvarint(nil, v)
		if got, n := uvarint(append(b, 0x55)); got != v || n != len(b) {
			t.Errorf("%x: got %d of %d bytes, want %d of %d", b, got, n, v, len(b))
		}
		if n := uvarintLen(v); n != len(b) {
			t.Errorf("%d: length %d, want %d", v, n, len(b))
		}
		for cut := range b {
			if _, n := uvarint(b[:cut]); n != 0 {
				t.Errorf("%x cut to %d bytes is taken", b, cut)
			}
		}
	}
}

// TestUvarintRefuses what is longer than needed or above 64 bits.
func TestUvarintRefuses(t *testing.T) {
	for _, b := range []string{
		"\x80\x00",
		"\xff\x80\x00",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81",
		"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
	} {
		if v, n := uvarint([]byte(b)); n != 0 {
			t.Errorf("%x is taken as %d of %d bytes", b, v, n)
		}
	}
}

func TestZigzag(t *testing.T) {
	for v, want := range map[int64]uint64{0: 0, -1: 1, 1: 2, -2: 3, 2: 4, math.MaxInt64: math.MaxUint64 - 1, math.MinInt64: math.MaxUint64} {
		if got := zigzag(v); got != want {
			t.Errorf("zigzag(%d) is %d, want %d", v, got, want)
		}
		if got := unzigzag(want); got != v {
			t.Errorf("unzigzag(%d) is %d, want %d", want, got, v)
		}
	}
}

// TestSumsThatFit compares with the bounds each operand leaves to the other.
func TestSumsThatFit(t *testing.T) {
	edges := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 62, -2, -1, 0, 1, 2, 1 << 62, math.MaxInt64 - 1, math.MaxInt64}
	for _, a := range edges {
		for _, b := range edges {
			wantSum := b <= 0 && a >= math.MinInt64-b || b > 0 && a <= math.MaxInt64-b
			if got, ok := addInt64(a, b); ok != wantSum || got != a+b {
				t.Errorf("%d + %d: %d, %v", a, b, got, ok)
			}
			wantDiff := b >= 0 && a >= math.MinInt64+b || b < 0 && a <= math.MaxInt64+b
			if got, ok := subInt64(a, b); ok != wantDiff || got != a-b {
				t.Errorf("%d − %d: %d, %v", a, b, got, ok)
			}
		}
	}
}
