package stomp

import (
	"slices"
	"strconv"
	"strings"
)

// AppendHead appends the head of a frame with a body of so many bytes, up to the empty line. The body and a NUL must
// follow. A content-length header is made, and must not be among the headers. Values of CONNECT and CONNECTED, which can't
// be escaped, must not contain line ends.
func AppendHead(dst []byte, command string, body int, headers ...Header) []byte {
	dst = append(append(dst, command...), '\n')
	for _, h := range headers {
		if escapes(command) {
			dst = appendEscaped(dst, h.Name)
			dst = append(dst, ':')
			dst = appendEscaped(dst, h.Value)
		} else {
			dst = append(append(append(dst, h.Name...), ':'), h.Value...)
		}
		dst = append(dst, '\n')
	}
	if body > 0 {
		dst = append(dst, "content-length:"...)
		dst = strconv.AppendInt(dst, int64(body), 10)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// Append appends a frame.
func Append(dst []byte, f *Frame) []byte {
	headers := slices.DeleteFunc(slices.Clone(f.Headers), func(h Header) bool { return h.Name == "content-length" })
	dst = AppendHead(dst, f.Command, len(f.Body), headers...)
	return append(append(dst, f.Body...), 0)
}

func appendEscaped(dst []byte, s string) []byte {
	if !strings.ContainsAny(s, "\r\n:\\") {
		return append(dst, s...)
	}
	for i := range len(s) {
		switch s[i] {
		case '\r':
			dst = append(dst, `\r`...)
		case '\n':
			dst = append(dst, `\n`...)
		case ':':
			dst = append(dst, `\c`...)
		case '\\':
			dst = append(dst, `\\`...)
		default:
			dst = append(dst, s[i])
		}
	}
	return dst
}
