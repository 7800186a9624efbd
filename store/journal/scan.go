package journal

import (
	"bytes"
	"errors"
	"io"
)

const (
	windowSize = 64 << 10
	sectorSize = 4 << 10
)

// window is a piece of a file, held in one buffer that is used again and
// again.
type window struct {
	file     io.ReaderAt
	tolerant bool // unreadable sectors read as zeros, and so as damage
	zeroed   bool // that has happened

	buf   []byte // its length is what it holds
	start int64  // file offset of buf[0]
}

// at returns the bytes of the file from off on: at least n of them, and what
// else the window happens to hold before end. The caller sees to it that
// off+n <= end, may change the bytes, and loses them at the next call.
func (w *window) at(off int64, n int, end int64) ([]byte, error) {
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		if err := w.load(off, int(min(int64(max(n, windowSize)), end-off))); err != nil {
			w.drop()
			return nil, err
		}
	}
	held := w.buf[off-w.start:]
	return held[:min(int64(len(held)), end-off)], nil
}

// drop forgets what the window holds.
func (w *window) drop() { w.buf = w.buf[:0] }

func (w *window) load(off int64, n int) error {
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.buf, w.start = w.buf[:n], off
	err := w.read(w.buf, off)
	if err == nil || !w.tolerant {
		return err
	}
	for done := 0; done < n; {
		// Up to the next boundary, so that one bad sector costs itself only.
		sector := w.buf[done:min(n, done+sectorSize-int((off+int64(done))%sectorSize))]
		if w.read(sector, off+int64(done)) != nil {
			clear(sector)
			w.zeroed = true
		}
		done += len(sector)
	}
	return nil
}

// read fills b. Where the file has become shorter than it was, the rest reads
// as zeros: the checksums will find out.
func (w *window) read(b []byte, off int64) error {
	n, err := w.file.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		clear(b[n:])
		return nil
	}
	return err
}

// scanner goes through the blocks of one segment file in order. After damage
// it searches for the next block at every byte.
type scanner struct {
	window
	off  int64  // where the next block should begin
	want uint64 // the position it should begin with
}

// found is one block as the scanner met it.
type found struct {
	header
	off     int64  // where it begins
	from    int64  // where it should have begun: below off if bytes were passed over
	want    uint64 // the position it should have: below first if blocks are lost
	entries []byte // nil if only the header was checked
}

// afterHole reports whether anything was wrong before the block.
func (f *found) afterHole() bool { return f.from < f.off || f.want < f.first }

// reset puts the scanner at the start of a segment.
func (s *scanner) reset(file io.ReaderAt, first uint64) {
	s.window = window{file: file, buf: s.buf[:0]}
	s.off, s.want = 0, first
}

// next returns the next block, or seal, that lies wholly before the file
// offset end and the position limit. It is false if there is none; f.from and
// f.want then say from where on, and the scanner stays there, as it does after
// an error. Of a block that ends before the position start it checks the
// header alone.
func (s *scanner) next(end int64, limit, start uint64) (f found, ok bool, err error) {
	f.off, f.from, f.want = s.off, s.off, s.want
	for {
		if ok, err = s.block(&f, end, limit, start); err != nil {
			return f, false, err
		}
		if ok {
			s.off, s.want = f.off+f.size(), f.next()
			return f, true, nil
		}
		if f.off, ok, err = s.find(f.off+1, end); !ok || err != nil {
			return f, false, err
		}
	}
}

// block checks whether a block begins at f.off, and completes f if so.
func (s *scanner) block(f *found, end int64, limit, start uint64) (ok bool, err error) {
	if end-f.off < blockOverhead {
		return false, nil
	}
	b, err := s.at(f.off, headerSize, end)
	if err != nil {
		return false, err
	}
	if f.header, ok = parseHeader(b); !ok {
		return false, nil
	}
	// A lower position is a copy of an earlier block, or what the disk kept
	// of a file that is no more.
	if f.first < f.want || f.next() > limit || f.size() > end-f.off {
		return false, nil
	}
	if f.next() <= start && !f.isSeal() {
		return true, nil
	}
	if b, err = s.at(f.off, int(f.size()), end); err != nil {
		return false, err
	}
	f.entries, ok = unmask(&f.header, b[:f.size()])
	if !ok {
		s.drop() // unmask may have changed the bytes
	}
	return ok, nil
}

// begun looks through what next has found no block in, for headers of blocks
// that are not whole. It returns the highest first position in them, or 0.
// All blocks before that one were committed: a commit writes behind what the
// one before it has made durable.
func (s *scanner) begun(end int64) (highest uint64, err error) {
	for off := s.off; ; off++ {
		var ok bool
		if off, ok, err = s.find(off, end); !ok || err != nil {
			return highest, err
		}
		b, err := s.at(off, headerSize, end)
		if err != nil {
			return highest, err
		}
		if h, ok := parseHeader(b); ok && h.first >= s.want {
			highest = max(highest, h.first)
		}
	}
}

// find returns the first offset from off on at which a block may begin.
func (s *scanner) find(off, end int64) (int64, bool, error) {
	for end-off >= blockOverhead {
		b, err := s.at(off, blockOverhead, end)
		if err != nil {
			return 0, false, err
		}
		if i := bytes.Index(b, magic); i >= 0 {
			return off + int64(i), true, nil
		}
		off += int64(len(b) - len(magic) + 1)
	}
	return 0, false, nil
}
