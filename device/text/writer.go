package text

import (
	"io"
	"unicode/utf8"
)

// NewWriter returns a writer that hands on to a terminal what is printable there: lines and tabs as they are, the rest as
// Printable writes it.
func NewWriter(terminal io.Writer) io.Writer { return &writer{to: terminal} }

type writer struct {
	to   io.Writer
	rest []byte // the beginning of a character whose end has not come yet
}

func (w *writer) Write(b []byte) (int, error) {
	all := append(w.rest, b...)
	end := len(all)
	for i := 1; i < utf8.UTFMax && i <= len(all); i++ {
		if last := all[len(all)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				end -= i
			}
			break
		}
	}
	clean := appendText(nil, string(all[:end]))
	w.rest = append([]byte(nil), all[end:]...)
	if _, err := w.to.Write(clean); err != nil {
		return 0, err
	}
	return len(b), nil
}
