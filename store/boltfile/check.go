package boltfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// Layout of a bbolt file, in native byte order:
//
//	page      id u64, flags u16, count u16, overflow u32, then count elements of 16 bytes, then keys and values
//	branch    element: offset of the key from the element u32, key length u32, child page u64
//	leaf      element: flags u32, offset of the key from the element u32, key length u32, value length u32
//	bucket    value of a leaf element with flag 1: root page u64, sequence u64; root page 0: the page follows
//	meta      page 0 and 1, behind the header: magic u32, version u32, page size u32, flags u32, root page u64,
//	          sequence u64, freelist page u64, high water mark u64, transaction u64, FNV-1a of all that u64
const (
	pageSize   = 4096
	headerLen  = 16
	elementLen = 16
	metaLen    = 64

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagFreelist = 0x10
	flagBucket   = 0x01 // of a leaf element

	magic      = 0xED0CDAED
	version    = 2
	noFreelist = math.MaxUint64

	// Far beyond what a sound file has: levels, and pages that belong together because of a long value.
	maxDepth    = 32
	maxOverflow = 16<<20/pageSize - 1
)

// check walks the whole tree, because bbolt trusts its pages: while opening it walks them in a goroutine of its own, where
// a panic or a fault ends the process, and a page that contains itself as a child sends it into endless recursion.
// reverted says that only one of the meta pages is valid.
func check(f io.ReaderAt, size int64) (reverted bool, err error) {
	c := checker{f: f, size: size}
	m, reverted, err := c.newestMeta()
	if err != nil {
		return false, err
	}
	if m.high < 4 || m.high > uint64(size)/pageSize {
		return false, fmt.Errorf("%d pages in use, the file has %d", m.high, size/pageSize)
	}
	c.high = m.high
	c.seen = make([]uint64, (m.high+63)/64)
	if m.freelist != noFreelist {
		if err := c.emptyFreelist(m.freelist); err != nil {
			return false, err
		}
	}
	return reverted, c.tree(m.root, nil, nil, 0, true)
}

type checker struct {
	f    io.ReaderAt
	size int64
	high uint64           // pages from here on are not in use
	seen []uint64         // bitmap of pages met
	bufs [maxDepth][]byte // one for each level of the walk
}

type meta struct{ root, freelist, high, tx uint64 }

// newestMeta returns the meta page that bbolt will choose, and whether it is the only one.
func (c *checker) newestMeta() (newest meta, only bool, err error) {
	found := 0
	for i := range int64(2) {
		var b [headerLen + metaLen]byte
		if _, err := c.f.ReadAt(b[:], i*pageSize); err != nil && err != io.EOF {
			return meta{}, false, err
		}
		if m, ok := parseMeta(b[headerLen:]); ok {
			if found++; found == 1 || m.tx > newest.tx {
				newest = m
			}
		}
	}
	if found == 0 {
		return meta{}, false, fmt.Errorf("no valid meta page")
	}
	return newest, found == 1, nil
}

func parseMeta(b []byte) (meta, bool) {
	ne := binary.NativeEndian
	h := fnv.New64a()
	h.Write(b[:metaLen-8])
	if ne.Uint32(b) != magic || ne.Uint32(b[4:]) != version || ne.Uint32(b[8:]) != pageSize || ne.Uint64(b[metaLen-8:]) != h.Sum64() {
		return meta{}, false
	}
	return meta{root: ne.Uint64(b[16:]), freelist: ne.Uint64(b[32:]), high: ne.Uint64(b[40:]), tx: ne.Uint64(b[48:])}, true
}

// emptyFreelist checks the only freelist there can be: the empty one of a file nobody has written to.
func (c *checker) emptyFreelist(id uint64) error {
	p, err := c.page(id, 0)
	if err != nil {
		return err
	}
	if p.flags() != flagFreelist || p.count() != 0 {
		return fmt.Errorf("page %d is not an empty freelist", id)
	}
	return nil
}

type page []byte

func (p page) id() uint64       { return binary.NativeEndian.Uint64(p) }
func (p page) flags() uint16    { return binary.NativeEndian.Uint16(p[8:]) }
func (p page) count() int       { return int(binary.NativeEndian.Uint16(p[10:])) }
func (p page) overflow() uint64 { return uint64(binary.NativeEndian.Uint32(p[12:])) }

// page reads a page with its overflow into the buffer of the level.
func (c *checker) page(id uint64, depth int) (page, error) {
	if err := c.meet(id); err != nil {
		return nil, err
	}
	if c.bufs[depth] == nil {
		c.bufs[depth] = make([]byte, pageSize)
	}
	p := page(c.bufs[depth][:pageSize])
	if _, err := c.f.ReadAt(p, int64(id)*pageSize); err != nil {
		return nil, err
	}
	if p.id() != id {
		return nil, fmt.Errorf("page %d calls itself %d", id, p.id())
	}
	if p.overflow() > maxOverflow {
		return nil, fmt.Errorf("page %d claims %d more", id, p.overflow())
	}
	for i := range p.overflow() {
		if err := c.meet(id + 1 + i); err != nil {
			return nil, err
		}
	}
	if n := int(p.overflow()+1) * pageSize; n > len(p) {
		if cap(p) < n {
			c.bufs[depth] = make([]byte, n)
		}
		p = page(c.bufs[depth][:n])
		if _, err := c.f.ReadAt(p, int64(id)*pageSize); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// meet notes that a page is in use, once.
func (c *checker) meet(id uint64) error {
	if id < 2 || id >= c.high {
		return fmt.Errorf("page %d does not exist", id)
	}
	if c.seen[id/64]>>(id%64)&1 != 0 {
		return fmt.Errorf("page %d is used twice", id)
	}
	c.seen[id/64] |= 1 << (id % 64)
	return nil
}

// tree checks the pages below id, whose keys must be at least low and, unless high is nil, below high.
func (c *checker) tree(id uint64, low, high []byte, depth int, root bool) error {
	if depth == maxDepth {
		return fmt.Errorf("page %d is too deep", id)
	}
	p, err := c.page(id, depth)
	if err != nil {
		return err
	}
	switch p.flags() {
	case flagBranch:
		return c.branch(p, low, high, depth)
	case flagLeaf:
		if p.count() == 0 && !root {
			return fmt.Errorf("page %d is empty", id)
		}
		return c.leaf(p, low, high, depth)
	default:
		return fmt.Errorf("page %d has the flags 0x%x", id, p.flags())
	}
}

func (c *checker) branch(p page, low, high []byte, depth int) error {
	if p.count() == 0 {
		return fmt.Errorf("page %d is empty", p.id())
	}
	key, err := p.branchKey(0)
	if err != nil {
		return err
	}
	for i := range p.count() {
		next := high
		if i+1 < p.count() {
			if next, err = p.branchKey(i + 1); err != nil {
				return err
			}
		}
		if bytes.Compare(key, low) < 0 || next != nil && bytes.Compare(key, next) >= 0 {
			return fmt.Errorf("page %d: key %d is out of order", p.id(), i)
		}
		child := binary.NativeEndian.Uint64(p[headerLen+i*elementLen+8:])
		if err := c.tree(child, key, next, depth+1, false); err != nil {
			return err
		}
		key, low = next, key
	}
	return nil
}

func (c *checker) leaf(p page, low, high []byte, depth int) error {
	for i := range p.count() {
		flags, key, value, err := p.leafElement(i)
		if err != nil {
			return err
		}
		if order := bytes.Compare(key, low); order < 0 || i > 0 && order == 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("page %d: key %d is out of order", p.id(), i)
		}
		low = key
		switch {
		case flags == flagBucket:
			err = c.bucket(value, depth)
		case flags != 0:
			err = fmt.Errorf("page %d: element %d has the flags 0x%x", p.id(), i, flags)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) bucket(value []byte, depth int) error {
	if len(value) < 16 {
		return fmt.Errorf("a bucket of %d bytes", len(value))
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return c.tree(root, nil, nil, depth+1, true)
	}
	p := page(value[16:])
	if len(p) < headerLen || p.flags() != flagLeaf || p.overflow() != 0 || depth+1 == maxDepth {
		return fmt.Errorf("an inline bucket without a leaf page")
	}
	return c.leaf(p, nil, nil, depth+1)
}

func (p page) branchKey(i int) ([]byte, error) {
	e := headerLen + i*elementLen
	if len(p) < headerLen+p.count()*elementLen {
		return nil, fmt.Errorf("page %d is too short for %d elements", p.id(), p.count())
	}
	return p.cut(i, uint64(binary.NativeEndian.Uint32(p[e:])), uint64(binary.NativeEndian.Uint32(p[e+4:])))
}

func (p page) leafElement(i int) (flags uint32, key, value []byte, err error) {
	e := headerLen + i*elementLen
	if len(p) < headerLen+p.count()*elementLen {
		return 0, nil, nil, fmt.Errorf("page %d is too short for %d elements", p.id(), p.count())
	}
	ne := binary.NativeEndian
	flags = ne.Uint32(p[e:])
	pos, keyLen, valueLen := uint64(ne.Uint32(p[e+4:])), uint64(ne.Uint32(p[e+8:])), uint64(ne.Uint32(p[e+12:]))
	if key, err = p.cut(i, pos, keyLen); err != nil {
		return 0, nil, nil, err
	}
	value, err = p.cut(i, pos+keyLen, valueLen)
	return flags, key, value, err
}

// cut returns n bytes at pos, which counts from element i.
func (p page) cut(i int, pos, n uint64) ([]byte, error) {
	start := uint64(headerLen+i*elementLen) + pos
	if start < uint64(headerLen+p.count()*elementLen) || start+n > uint64(len(p)) {
		return nil, fmt.Errorf("page %d: element %d reaches beyond the page", p.id(), i)
	}
	return p[start : start+n : start+n], nil
}
