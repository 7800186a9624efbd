package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// table prints rows in columns. Devices, users and servers chose much of what stands in its cells: none of it may be obeyed by
// a terminal, or look like another cell or row.
type table struct{ tabs *tabwriter.Writer }

func newTable(w io.Writer, header ...any) *table {
	t := &table{tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)}
	if len(header) > 0 {
		t.row(header...)
	}
	return t
}

func (t *table) row(cells ...any) {
	printed := make([]string, len(cells))
	for i, c := range cells {
		printed[i] = text.Printable(fmt.Sprint(c))
	}
	fmt.Fprintln(t.tabs, strings.Join(printed, "\t"))
}

// flush prints the rows there are. Its error is also that of the rows before.
func (t *table) flush() error { return t.tabs.Flush() }

// printable guards a terminal against whatever is printed, readings in any format and errors included. Files and pipes get
// everything as it is.
func printable(w io.Writer) io.Writer {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return text.NewWriter(w)
	}
	return w
}
