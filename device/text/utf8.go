// Package text makes text that came from elsewhere safe to read and to show: files in the encodings that editors write, names
// and values on a terminal, values in a CSV file that a spreadsheet opens.
package text

import (
	"bytes"
	"encoding/binary"
	"errors"
	"unicode/utf16"
)

// The byte order marks of RFC 3629 §6 and RFC 2781 §3.2, which editors put at the beginning of a file.
const (
	markUTF8    = "\xef\xbb\xbf"
	markUTF16LE = "\xff\xfe"
	markUTF16BE = "\xfe\xff"
)

// ErrUTF16 is a file that says it is UTF-16 and isn't.
var ErrUTF16 = errors.New("it begins like UTF-16 but has an odd number of bytes or half a character; save it as UTF-8")

// UTF8 returns what stands in a small file: without a byte order mark, and as UTF-8 if the mark is that of UTF-16. Everything
// else is returned as it is.
func UTF8(b []byte) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(b, []byte(markUTF8)); ok {
		return rest, nil
	}
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(b, []byte(markUTF16LE)):
		order = binary.LittleEndian
	case bytes.HasPrefix(b, []byte(markUTF16BE)):
		order = binary.BigEndian
	default:
		return b, nil
	}
	if len(b)%2 != 0 {
		return nil, ErrUTF16
	}
	units := make([]uint16, 0, len(b)/2)
	for at := 2; at < len(b); at += 2 {
		units = append(units, order.Uint16(b[at:]))
	}
	decoded := utf16.Decode(units)
	for _, r := range decoded {
		if r == '\uFFFD' {
			return nil, ErrUTF16
		}
	}
	return []byte(string(decoded)), nil
}
