package text

import (
	"bufio"
	"io"

	"golang.org/x/text/encoding/unicode"
)

// NewReader is UTF8 for large files: it reads what r has without a byte order mark, and as UTF-8 if the mark is that of UTF-16.
// What is not valid UTF-16 reads as U+FFFD.
func NewReader(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	mark, _ := b.Peek(len(markUTF8)) // a short file has no mark
	switch {
	case string(mark) == markUTF8:
		_, _ = b.Discard(len(mark))
		return b
	case len(mark) >= 2 && (string(mark[:2]) == markUTF16LE || string(mark[:2]) == markUTF16BE):
		return unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder().Reader(b)
	}
	return b
}
