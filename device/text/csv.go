package text

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// AppendCSV appends s to dst as one field of a CSV file (RFC 4180) that people open in spreadsheets and print on terminals.
//
// Devices choose their texts, and none may become a formula (OWASP, CSV injection): an apostrophe is put before a text that
// begins like one, and wherever a cell would begin for a program that takes semicolons or tabs for separators. Control
// characters but line feeds and tabs, and characters that turn the direction of text, are written as Printable writes them.
func AppendCSV(dst []byte, s string) []byte {
	first := len(dst)
	if isFormula(s) || strings.IndexFunc(s, isSeparator) == 0 || strings.HasPrefix(s, "\x00") {
		dst = append(dst, '\'')
	}
	for i := strings.IndexFunc(s, isSeparator); i >= 0; i = strings.IndexFunc(s, isSeparator) {
		dst = appendText(dst, s[:i+1])
		s = s[i+1:]
		if isFormula(s) {
			dst = append(dst, '\'')
		}
	}
	return quote(appendText(dst, s), first)
}

func appendText(dst []byte, s string) []byte {
	return appendPrintable(dst, s, func(r rune) bool { return r == '\n' || r == '\t' })
}

// isSeparator knows what ends a cell for some program or other that does not see the quotes.
func isSeparator(r rune) bool { return strings.ContainsRune(";\t\n\r", r) }

// isFormula says whether a cell is a formula for some program: spaces, quotes and what can't be seen may come first, and the
// signs may have the double width of Chinese, Japanese and Korean keyboards.
func isFormula(s string) bool {
	s = strings.TrimLeftFunc(s, func(r rune) bool {
		return r == '"' || unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Cf, r)
	})
	r, _ := utf8.DecodeRuneInString(s)
	return s != "" && strings.ContainsRune("=+-@＝＋－＠", r)
}

// quote quotes what dst has from first on if CSV needs it.
func quote(dst []byte, first int) []byte {
	if !bytes.ContainsAny(dst[first:], ",;\"\t\r\n") {
		return dst
	}
	quoted := bytes.ReplaceAll(dst[first:], []byte(`"`), []byte(`""`))
	dst = append(dst[:first], '"')
	dst = append(dst, quoted...)
	return append(dst, '"')
}
