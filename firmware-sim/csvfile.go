package firmwaresim

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/korean"
	utf16 "golang.org/x/text/encoding/unicode"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

const (
	maxCSVRecord  = 1 << 20   // bytes of one line
	maxCSVColumns = 1024      // far more than a schema has channels: columns that are left out may stand between
	csvSample     = 256 << 10 // bytes from which the separator is found
)

// findEncoding settles how the file's characters are written: as its mark says, as declared, as UTF-16 where every other byte
// is zero, and as UTF-8 otherwise, which each checks.
func (t *Table) findEncoding() error {
	switch t.encoding = strings.ToLower(t.options.Encoding); t.encoding {
	case "utf-16le", "utf-16be", "windows-1252", "euc-kr":
		return nil
	case "", "utf-8":
	default:
		return problem("known are utf-8, utf-16le, utf-16be, windows-1252 and euc-kr", "--encoding %q is not known", t.options.Encoding)
	}
	head, err := t.head(4096)
	if err != nil {
		return err
	}
	var zeros [2]int
	for i, b := range head {
		if b == 0 {
			zeros[i%2]++
		}
	}
	half := len(head) / 4 // a text of any language has blanks, digits and separators
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")) || zeros[0] == 0 && zeros[1] > half:
		t.encoding = "utf-16le"
	case bytes.HasPrefix(head, []byte("\xfe\xff")) || zeros[1] == 0 && zeros[0] > half:
		t.encoding = "utf-16be"
	case zeros[0]+zeros[1] > 0:
		return problem("--encoding says how its characters are written", "the file has bytes that are zero: is it CSV?")
	default:
		t.encoding = "utf-8"
	}
	return nil
}

func (t *Table) head(bytes int) ([]byte, error) {
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(t.file, int64(bytes)))
}

// decoded returns the file's text from its beginning.
func (t *Table) decoded() (io.Reader, error) {
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	switch t.encoding {
	case "utf-16le":
		return utf16.UTF16(utf16.LittleEndian, utf16.UseBOM).NewDecoder().Reader(t.file), nil
	case "utf-16be":
		return utf16.UTF16(utf16.BigEndian, utf16.UseBOM).NewDecoder().Reader(t.file), nil
	case "windows-1252":
		return charmap.Windows1252.NewDecoder().Reader(t.file), nil
	case "euc-kr":
		return korean.EUCKR.NewDecoder().Reader(t.file), nil
	}
	return text.NewReader(t.file), nil
}

// findSeparator takes the separator with which all lines of the beginning have equally many columns, and more than one.
func (t *Table) findSeparator() error {
	r, err := t.decoded()
	if err != nil {
		return err
	}
	sample, err := io.ReadAll(io.LimitReader(r, csvSample))
	if err != nil {
		return err
	}
	if i := bytes.LastIndexByte(sample, '\n'); i >= 0 && len(sample) == csvSample {
		sample = sample[:i+1]
	}
	if first, rest, ok := bytes.Cut(sample, []byte("\n")); ok {
		first = bytes.TrimPrefix(bytes.TrimRight(first, "\r"), []byte("\ufeff"))
		if r, size := utf8.DecodeRune(bytes.TrimPrefix(first, []byte("sep="))); bytes.HasPrefix(first, []byte("sep=")) && len(first) == 4+size {
			t.comma, t.preface, sample = r, true, rest // which spreadsheets write and read
		}
	}
	if o := t.options.Separator; o != "" {
		if o == "tab" || o == `\t` {
			o = "\t"
		}
		r, size := utf8.DecodeRuneInString(o)
		if size != len(o) || unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("\"\r\n\ufeff\ufffd", r) {
			return problem(`for example --separator ";" or --separator tab`, "--separator %q is not a character that separates columns", o)
		}
		t.comma = r
	}
	if t.comma != 0 {
		return nil
	}
	var fit, possible []rune
	for _, c := range ",;\t|" {
		switch columns, even := shape(sample, c); {
		case columns > 1 && even:
			fit = append(fit, c)
			fallthrough
		case columns > 1:
			possible = append(possible, c)
		}
	}
	switch {
	case len(fit) == 1:
		t.comma = fit[0]
	case len(fit) == 0 && len(possible) == 1: // the line that is not like the others will be named
		t.comma = possible[0]
	case len(bytes.TrimSpace(sample)) == 0:
		return errors.New("empty file")
	case len(possible) == 0:
		return problem(`for example --separator ";"`, "line 1 has one column: what stands between columns?")
	default:
		return problem("--separator decides", "%q and %q may stand between columns", possible[0], possible[1])
	}
	return nil
}

// shape returns how many columns the header has with a separator, and whether the lines of the sample have as many.
func shape(sample []byte, comma rune) (columns int, even bool) {
	r := csv.NewReader(bytes.NewReader(sample))
	r.Comma = comma
	r.ReuseRecord = true
	record, err := r.Read()
	for columns = len(record); err == nil; {
		_, err = r.Read()
	}
	return columns, errors.Is(err, io.EOF)
}

// open reads the header and leaves the reader in front of the first row.
func (t *Table) open() (*recordReader, []string, error) {
	r, err := t.decoded()
	if err != nil {
		return nil, nil, err
	}
	rows := newRecordReader(r, t.comma, maxCSVRecord)
	if t.preface {
		if _, _, err := rows.next(); err != nil {
			return nil, nil, err
		}
	}
	record, _, err := rows.next()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("empty file")
	}
	if err != nil {
		return nil, nil, err
	}
	header := slices.Clone(record)
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // a declared encoding keeps the mark
	trim(header)
	if len(header) > maxCSVColumns {
		return nil, nil, fmt.Errorf("%d columns, at most %d are read", len(header), maxCSVColumns)
	}
	for i, name := range header {
		if name == "" {
			header[i] = fmt.Sprintf("column_%d", i+1)
		}
		header[i] = strings.Clone(header[i])
		if slices.Contains(header[:i], header[i]) {
			return nil, nil, fmt.Errorf("line 1: two columns are named %q", header[i])
		}
		if err := t.legible(header[i], 1); err != nil {
			return nil, nil, err
		}
		if looksLikeTime(header[i]) {
			return nil, nil, problem("add a line such as time,temperature", "line 1 holds values; it must name the columns")
		}
	}
	return rows, header, nil
}

// each calls row with the rows of the file, cells trimmed, and empty where they stand for no value.
func (t *Table) each(row func(record []string, line int) error) error {
	rows, header, err := t.open()
	if err != nil {
		return err
	}
	for {
		record, line, err := rows.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(record) != len(header) {
			return fmt.Errorf("line %d: %d cells, the header has %d", line, len(record), len(header))
		}
		trim(record)
		for i, cell := range record {
			if err := t.legible(cell, line); err != nil {
				return err
			}
			if slices.Contains(t.options.Missing, cell) {
				record[i] = ""
			}
		}
		if err := row(record, line); err != nil {
			return err
		}
	}
}

// legible checks that a cell is of the encoding.
func (t *Table) legible(cell string, line int) error {
	if utf8.ValidString(cell) && (t.encoding == "utf-8" || !strings.ContainsRune(cell, utf8.RuneError)) {
		return nil
	}
	return problem("--encoding declares another: windows-1252 for Western Europe, euc-kr for Korea, or utf-16le",
		"line %d: %q is not %s", line, shorten(cell), strings.ToUpper(t.encoding))
}

func trim(cells []string) {
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
}
