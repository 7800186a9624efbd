package firmwaresim

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// TableOptions decide what a file leaves open. What is not decided here is found in the file where that is certain; where it
// is not, it is an error that names the flag of replay that decides it.
type TableOptions struct {
	Encoding    string   // utf-8, utf-16le, utf-16be, windows-1252 or euc-kr
	Separator   string   // a character, or tab
	Decimal     string   // . or ,
	TimeColumns []string // the column of times, or the one of dates and the one of hours
	TimeLayout  string   // a layout of package time, or unix, unix-ms, unix-us, unix-ns, excel, excel-1904
	Zone        string   // of times that name none: UTC if empty; Europe/Berlin, +02:00
	Missing     []string // cells that stand for no value, besides empty ones
	Text        []string // columns that are texts, whatever their cells look like
	Skip        []string // columns to leave out
}

// Table is a CSV file understood: where its times are, and which channels its columns make. It has been read from end to end,
// so that a bad cell is found before anything is sent; frames reads it once more.
type Table struct {
	Schema *device.Schema
	About  []string // how the file is read, for people
	Notes  []string // one for each column, for people
	Rows   int

	options  TableOptions
	file     io.ReadSeeker
	encoding string
	comma    rune
	preface  bool // a line before the header names the separator
	number   numberForm
	clock    *clock
	channels []int // column of each channel
	texts    int   // bytes of all texts of a row at most
}

// ReadTable understands file.
func ReadTable(file io.ReadSeeker, o TableOptions) (*Table, error) {
	t := &Table{file: file, options: o}
	for _, step := range []func() error{t.findEncoding, t.findSeparator, t.survey, t.understand} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// survey reads the file to find out how it writes numbers and times.
func (t *Table) survey() error {
	_, header, err := t.open()
	if err != nil {
		return err
	}
	for _, name := range slices.Concat(t.options.TimeColumns, t.options.Text, t.options.Skip) {
		if !slices.Contains(header, name) {
			return problem("the columns are "+strings.Join(header, ", "), "no column is named %q", name)
		}
	}
	finder, err := newClockFinder(header, &t.options)
	if err != nil {
		return err
	}
	var numbers numberEvidence
	err = t.each(func(record []string, line int) error {
		t.Rows++
		finder.see(record, line)
		for i, cell := range record {
			if !slices.Contains(t.options.Text, header[i]) && !slices.Contains(t.options.Skip, header[i]) {
				numbers.see(cell, line)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case t.Rows == 0:
		return errors.New("no rows below the header")
	}
	if t.clock, err = finder.decide(); err != nil {
		return err
	}
	t.number, err = numbers.decide(t.options.Decimal)
	return err
}

// understand reads the file again, with what survey found, and settles what its columns are.
func (t *Table) understand() error {
	_, header, err := t.open()
	if err != nil {
		return err
	}
	var (
		facts             = make([]columnFacts, len(header))
		first, last, then int64
		rows, leaps       int
	)
	err = t.each(func(record []string, line int) error {
		at, leap, err := t.clock.read(record)
		if err != nil {
			return problem(t.clock.hint(), "line %d: %w", line, err)
		}
		if t.clock.daily() && rows > 0 && at == then {
			return problem("--time-column names two columns if it is given twice; --time-layout says that midnight is meant",
				"line %d: %q is the day of the line before, too: where is the hour?", line, record[t.clock.columns[0]])
		}
		if rows == 0 {
			first, last = at, at
		}
		first, last, then = min(first, at), max(last, at), at
		rows++
		if leap {
			leaps++
		}
		for i, cell := range record {
			if !slices.Contains(t.clock.columns, i) {
				facts[i].see(t.number, cell, line)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	separator := map[rune]string{',': "commas", ';': "semicolons", '\t': "tabs"}[t.comma]
	if separator == "" {
		separator = fmt.Sprintf("%q", t.comma)
	}
	t.About = append(t.About, fmt.Sprintf("%s, separated by %s, %s", strings.ToUpper(t.encoding), separator, t.number))
	t.About = append(t.About, fmt.Sprintf("from %s to %s", utc(first), utc(last)))
	if leaps > 0 {
		t.About = append(t.About, fmt.Sprintf("leap seconds, :60, are played as the second after: %d", leaps))
	}
	return t.decide(header, facts)
}

func utc(µs int64) string { return time.UnixMicro(µs).UTC().Format(time.RFC3339Nano) }

// decide turns what is known about the columns into the schema.
func (t *Table) decide(header []string, facts []columnFacts) error {
	t.Schema = &device.Schema{}
	for i, name := range header {
		shown := text.Printable(name)
		if slices.Contains(t.clock.columns, i) {
			t.Notes = append(t.Notes, shown+": "+t.clock.String())
			continue
		}
		if slices.Contains(t.options.Skip, name) {
			t.Notes = append(t.Notes, shown+": left out, as asked for")
			continue
		}
		ch, note, err := facts[i].channel(name, slices.Contains(t.options.Text, name))
		if err != nil {
			return err
		}
		t.Notes = append(t.Notes, shown+": "+note)
		if ch == nil {
			continue
		}
		if ch.Type == device.String {
			t.texts += facts[i].longest
		}
		ch.ID = uint16(len(t.Schema.Channels))
		t.Schema.Channels = append(t.Schema.Channels, *ch)
		t.channels = append(t.channels, i)
	}
	if len(t.Schema.Channels) == 0 {
		return errors.New("no column holds values")
	}
	if t.texts > device.MaxMessage/2 {
		return problem("--skip COLUMN leaves a column out", "the texts of a row have up to %d bytes, which do not fit a message", t.texts)
	}
	if err := t.Schema.Validate(); err != nil {
		return fmt.Errorf("the columns make no schema: %w", err)
	}
	return nil
}
