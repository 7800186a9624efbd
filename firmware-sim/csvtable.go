package firmwaresim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	maxCSVRecord  = 1 << 20 // bytes of one line
	maxCSVColumns = 1024    // far more than a schema has channels: columns of text may stand between
)

// Table is a CSV file understood: where its times are, and which channels its columns make. It has been read once from
// end to end, so that a bad cell is found before anything is sent; rows reads it a second time.
type Table struct {
	Schema *device.Schema
	Notes  []string // one for each column, for people
	Layout string   // how times are written: a layout of package time, or unix, unix-ms, unix-us, unix-ns
	Rows   int

	file     io.ReadSeeker
	comma    rune
	time     int   // column of the times
	channels []int // column of each channel
}

// ReadTable understands file. column names the time column and layout its layout; both may be empty and are found then.
func ReadTable(file io.ReadSeeker, column, layout string) (*Table, error) {
	t := &Table{file: file, comma: ',', Layout: layout}
	if err := t.detectComma(); err != nil {
		return nil, err
	}
	rows, header, err := t.open()
	if err != nil {
		return nil, err
	}
	facts := make([]columnFacts, len(header))
	for {
		record, line, err := rows.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(record) != len(header) {
			return nil, fmt.Errorf("line %d: %d cells, the header has %d", line, len(record), len(header))
		}
		trim(record)
		if t.Rows == 0 {
			if err := t.findTime(header, record, column); err != nil {
				return nil, err
			}
		}
		t.Rows++
		if _, err := parseTime(t.Layout, record[t.time]); err != nil {
			return nil, problem("--time-layout says how times are written", "line %d: column %q: %w", line, header[t.time], err)
		}
		for i, cell := range record {
			if i != t.time {
				facts[i].see(cell, line)
			}
		}
	}
	if t.Rows == 0 {
		return nil, errors.New("no rows below the header")
	}
	return t, t.decide(header, facts)
}

// decide turns what is known about the columns into the schema.
func (t *Table) decide(header []string, facts []columnFacts) error {
	t.Schema = &device.Schema{}
	for i, name := range header {
		if i == t.time {
			t.Notes = append(t.Notes, fmt.Sprintf("%s: time, %s", name, t.Layout))
			continue
		}
		ch, note, skip, err := facts[i].channel(name)
		if err != nil {
			return err
		}
		t.Notes = append(t.Notes, name+": "+note)
		if skip {
			continue
		}
		ch.ID = uint16(len(t.Schema.Channels))
		t.Schema.Channels = append(t.Schema.Channels, ch)
		t.channels = append(t.channels, i)
	}
	if len(t.Schema.Channels) == 0 {
		return errors.New("no column holds numbers or true and false")
	}
	if err := t.Schema.Validate(); err != nil {
		return fmt.Errorf("the columns make no schema: %w", err)
	}
	return nil
}

// detectComma takes the separator that the header has most of.
func (t *Table) detectComma() error {
	head := make([]byte, 4096)
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	n, err := io.ReadFull(t.file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	line, _, _ := bytes.Cut(head[:n], []byte("\n"))
	best := 0
	for _, c := range []byte{',', ';', '\t'} {
		if k := bytes.Count(line, []byte{c}); k > best {
			best, t.comma = k, rune(c)
		}
	}
	return nil
}

// open reads the header and leaves the reader in front of the first row.
func (t *Table) open() (*recordReader, []string, error) {
	if _, err := t.file.Seek(0, io.SeekStart); err != nil {
		return nil, nil, err
	}
	rows := newRecordReader(t.file, t.comma, maxCSVRecord)
	record, _, err := rows.next()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("empty file")
	}
	if err != nil {
		return nil, nil, err
	}
	header := slices.Clone(record)
	header[0] = strings.TrimPrefix(header[0], "\ufeff") // spreadsheets put a byte order mark there
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
	}
	if _, ok := detectLayout(header[0], false); ok {
		return nil, nil, problem("add a line such as time,temperature", "line 1 holds values; it must name the columns")
	}
	return rows, header, nil
}

// findTime settles the time column and its layout on the first row.
func (t *Table) findTime(header, row []string, column string) error {
	if column != "" {
		if t.time = slices.Index(header, column); t.time < 0 {
			return problem("the columns are "+strings.Join(header, ", "), "no column is named %q", column)
		}
	} else {
		var ok bool
		if t.time, ok = timeColumn(header, row); !ok {
			return problem("--time-column names it", "no column of times found")
		}
	}
	if t.Layout != "" {
		return nil
	}
	var ok bool
	if t.Layout, ok = detectLayout(row[t.time], true); !ok {
		return problem(`--time-layout declares it, for example --time-layout "01/02/2006 15:04"`,
			"column %q: %q is not written in a way known here", header[t.time], shorten(row[t.time]))
	}
	return nil
}

func trim(cells []string) {
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
}
