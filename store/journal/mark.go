package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// markFile says up to where was committed, so that the next Open knows what is missing when the end of the journal has been lost:
// otherwise it looks like a commit that was interrupted, or like nothing at all. It holds the position of the next entry and the
// CRC-32C of that, little endian.
const markFile = "committed"

const markSize = 8 + 4

// Mark writes down how far was committed, for the next Open. It is not synced, because that would cost as much as a commit:
// it survives the process at once, and a power cut when the kernel has written it, after half a minute or so. It belongs to the
// committer, who calls it now and then.
func (j *Journal) Mark() error {
	if j.marked == j.next {
		return nil
	}
	if j.mark == nil {
		var err error
		if j.mark, err = os.OpenFile(filepath.Join(j.dir, markFile), os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
			return err
		}
	}
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, markSize), j.next)
	if _, err := j.mark.WriteAt(binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli)), 0); err != nil {
		return err
	}
	j.marked = j.next
	return nil
}

// readMark returns what Mark wrote; 0 if there is nothing that can be read.
func (j *Journal) readMark() uint64 {
	file, err := os.Open(filepath.Join(j.dir, markFile))
	if err != nil {
		return 0
	}
	defer file.Close()
	var b [markSize]byte
	if _, err := file.ReadAt(b[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	next := binary.LittleEndian.Uint64(b[:])
	if binary.LittleEndian.Uint32(b[8:]) != crc32.Checksum(b[:8], castagnoli) || next > maxPosition {
		return 0
	}
	return next
}
