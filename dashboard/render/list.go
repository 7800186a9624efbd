package render

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// The formats in which lists and records are printed.
const (
	FormatTable = "table"
	FormatJSON  = "json"
	FormatCSV   = "csv"

	FormatLineProtocol = "lineprotocol" // readings only
)

// Column is one of a list.
type Column[T any] struct {
	Name string       // lower case; a table has it as a heading
	Cell func(*T) any // a time.Time, an Exact, an Age, an Either, or what fmt.Sprint makes a text of
}

// Exact is a time that a table has with milliseconds, too.
type Exact time.Time

const exactTime = "2006-01-02T15:04:05.000Z" // in UTC

// Either is a cell that people and programs read in different forms.
type Either struct{ Table, CSV any }

// Age is a time of which a table says how long ago that was.
type Age time.Time

// List prints rows; a table without rows is the text empty. JSON has everything of a row, whatever the columns are.
func List[T any](w io.Writer, format string, rows []T, columns []Column[T], empty string) error {
	if format == FormatJSON {
		if rows == nil {
			rows = []T{}
		}
		return JSON(w, rows)
	}
	if format == FormatTable && len(rows) == 0 {
		_, err := fmt.Fprintln(w, empty)
		return err
	}
	return NewPages(w, format, columns).Print(rows)
}

// Pages prints a list of any length piece by piece. JSON is one object a line.
type Pages[T any] struct {
	w       io.Writer
	format  string
	columns []Column[T]
	began   bool
}

// NewPages begins a list.
func NewPages[T any](w io.Writer, format string, columns []Column[T]) *Pages[T] {
	return &Pages[T]{w: w, format: format, columns: columns}
}

// Print prints the next rows.
func (p *Pages[T]) Print(rows []T) error {
	switch p.format {
	case FormatJSON:
		for i := range rows {
			line, err := marshal(&rows[i])
			if err == nil {
				_, err = p.w.Write(append(line, '\n'))
			}
			if err != nil {
				return err
			}
		}
		return nil
	case FormatCSV:
		return p.csv(rows)
	}
	table := NewTable(p.w)
	cells := make([]any, len(p.columns))
	if !p.began && len(rows) > 0 {
		for i, c := range p.columns {
			cells[i] = strings.ToUpper(c.Name)
		}
		table.Row(cells...)
		p.began = true
	}
	for i := range rows {
		for k, c := range p.columns {
			cells[k] = c.Cell(&rows[i])
			if e, ok := cells[k].(Either); ok {
				cells[k] = e.Table
			}
			switch v := cells[k].(type) {
			case time.Time:
				cells[k] = Stamp(v)
			case Exact:
				cells[k] = time.Time(v).UTC().Format(exactTime)
			case Age:
				cells[k] = Ago(time.Time(v), time.Now())
			case nil:
				cells[k] = ""
			}
		}
		table.Row(cells...)
	}
	return table.Flush()
}

func (p *Pages[T]) csv(rows []T) error {
	var out []byte
	if !p.began {
		p.began = true
		for _, c := range p.columns {
			out = append(append(out, strings.ReplaceAll(c.Name, " ", "_")...), ',')
		}
		out[len(out)-1] = '\n'
	}
	for i := range rows {
		for _, c := range p.columns {
			out = append(appendCell(out, c.Cell(&rows[i])), ',')
		}
		out[len(out)-1] = '\n'
	}
	_, err := p.w.Write(out)
	return err
}

// appendCell appends a field of CSV. Times have milliseconds, as in JSON.
func appendCell(dst []byte, v any) []byte {
	switch v := v.(type) {
	case Either:
		return appendCell(dst, v.CSV)
	case Age:
		return appendCell(dst, time.Time(v))
	case Exact:
		return appendCell(dst, time.Time(v))
	case time.Time:
		if v.IsZero() {
			return dst
		}
		return v.UTC().AppendFormat(dst, exactTime)
	case nil:
		return dst
	case int, int64, uint64, float64: // not a formula, though it may begin with a sign
		return fmt.Append(dst, v)
	}
	return text.AppendCSV(dst, fmt.Sprint(v))
}
