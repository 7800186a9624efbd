package text

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s in a form that is safe on one line of a terminal: what is not printable is written as Go writes it in a
// string, \x1b for one. That are control characters, which a terminal obeys, line ends, characters that turn the direction of
// what follows, or can't be seen, and bytes that are not UTF-8. Joiners stay where they belong, between letters.
func Printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return s
	}
	return string(appendPrintable(nil, s, nil))
}

// appendPrintable is Printable for s that leaves the characters that keep names as they are.
func appendPrintable(dst []byte, s string, keep func(rune) bool) []byte {
	var before rune
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		after, _ := utf8.DecodeRuneInString(s[size:])
		switch {
		case r == utf8.RuneError && size == 1:
			dst = fmt.Appendf(dst, `\x%02x`, s[0])
		case unicode.IsPrint(r) || keep != nil && keep(r), isJoiner(r) && joins(before) && joins(after), isSpace(r):
			dst = append(dst, s[:size]...)
		case r < utf8.RuneSelf:
			dst = fmt.Appendf(dst, `\x%02x`, r)
		case r > 0xffff:
			dst = fmt.Appendf(dst, `\U%08x`, r)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		before, s = r, s[size:]
	}
	return dst
}

// Writable says whether s is text as people write it in a name: printable, with spaces of all scripts, and with joiners
// between characters that they join, which Persian, Hindi and emoji need.
func Writable(s string) bool { return utf8.ValidString(s) && Printable(s) == s }

// isJoiner knows U+200C and U+200D, which say how the characters beside them are joined (Unicode §23.2).
func isJoiner(r rune) bool { return r == '\u200c' || r == '\u200d' }

// joins says whether a character may stand beside a joiner: letters, the marks on them, and symbols such as emoji.
func joins(r rune) bool {
	return unicode.In(r, unicode.L, unicode.M, unicode.S) && r != utf8.RuneError
}

// isSpace knows the spaces that are no controls; U+3000 is what the space bar writes in Japanese.
func isSpace(r rune) bool { return unicode.Is(unicode.Zs, r) }
