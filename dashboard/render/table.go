package render

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// Table prints rows in columns. Devices, users and servers chose much of what stands in its cells: none of it may be obeyed by
// a terminal, or look like another cell or row.
type Table struct{ tabs *tabwriter.Writer }

// NewTable begins a table.
func NewTable(w io.Writer) *Table { return &Table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)} }

// Row adds a row.
func (t *Table) Row(cells ...any) {
	printed := make([]string, len(cells))
	for i, c := range cells {
		printed[i] = text.Printable(fmt.Sprint(c))
	}
	fmt.Fprintln(t.tabs, strings.Join(printed, "\t"))
}

// Line adds a line that is in no column; the rows behind it have columns of their own.
func (t *Table) Line(s string) { fmt.Fprintln(t.tabs, text.Printable(s)) }

// Field adds a row of a name and what belongs to it. Without a name it goes on with the field before.
func (t *Table) Field(name, format string, args ...any) { t.Row(name, fmt.Sprintf(format, args...)) }

// textWidth is how wide a text in a field may be, so that a line has 80 columns.
const textWidth = 80 - len("dead letters  ")

// Text adds a field of as many lines as the text needs; none for an empty one.
func (t *Table) Text(name, s string) {
	for line := range wrapped(s, textWidth) {
		t.Row(name, line)
		name = ""
	}
}

// Flush prints the rows there are. Its error is also that of the rows before.
func (t *Table) Flush() error { return t.tabs.Flush() }

// Terminal guards a terminal against whatever is printed, readings in any format and errors included. Files and pipes get
// everything as it is.
func Terminal(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return text.NewWriter(w)
	}
	return w
}
