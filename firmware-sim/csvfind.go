package firmwaresim

import (
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// clockFinder finds, from all rows, which columns hold times and how they are written.
type clockFinder struct {
	header  []string
	options *TableOptions
	zone    *time.Location
	forms   []timeForm
	columns []timeFacts
}

// timeFacts are the forms that all cells of a column can be read in.
type timeFacts struct {
	forms  uint64 // a bit for each form
	before uint64 // those there were until cell
	last   cellAt // the cell that none of them reads, or the first cell
	cells  int
}

func newClockFinder(header []string, o *TableOptions) (*clockFinder, error) {
	f := &clockFinder{header: header, options: o, forms: timeForms(), columns: make([]timeFacts, len(header))}
	if o.TimeLayout != "" {
		f.forms = []timeForm{declaredForm(o.TimeLayout)}
	}
	if len(o.TimeColumns) > 2 {
		return nil, problem("one for both, or one for days and one for hours", "%d columns of times are named", len(o.TimeColumns))
	}
	for i := range f.columns {
		f.columns[i].forms = 1<<len(f.forms) - 1
	}
	var err error
	f.zone, err = parseZone(o.Zone)
	return f, err
}

// see takes a row into account.
func (f *clockFinder) see(record []string, line int) {
	for i, cell := range record {
		c := &f.columns[i]
		if cell == "" || c.forms == 0 {
			continue
		}
		c.cells++
		c.before = c.forms
		for left := c.forms; left != 0; left &= left - 1 {
			if n := bits.TrailingZeros64(left); !f.forms[n].takes(cell, f.zone) {
				c.forms &^= 1 << n
			}
		}
		if c.forms == 0 || c.cells == 1 {
			c.last = cellAt{}
			c.last.note(cell, line)
		}
	}
}

// decide returns how the rows' times are read.
func (f *clockFinder) decide() (*clock, error) {
	c := &clock{zone: f.zone, zoneName: f.options.Zone, declared: f.options.TimeLayout != ""}
	switch names := f.options.TimeColumns; {
	case len(names) == 0:
		var err error
		if c.columns, err = f.find(); err != nil {
			return nil, err
		}
	default:
		for _, name := range names {
			c.columns = append(c.columns, slices.Index(f.header, name))
		}
	}
	switch {
	case c.declared:
		c.forms = f.forms
	case len(c.columns) == 1:
		form, err := f.choose(c.columns[0], fullTime|dayOnly)
		if err != nil {
			return nil, err
		}
		c.forms = []timeForm{form}
	default:
		days, err := f.choose(c.columns[0], dayOnly)
		if err != nil {
			return nil, err
		}
		hours, err := f.choose(c.columns[1], clockOnly|hourNumber)
		if err != nil {
			return nil, err
		}
		c.forms = []timeForm{days, hours}
	}
	if c.zoneName != "" && c.forms[0].zoned {
		return nil, problem("leave out --zone", "the times of column %q name their zone themselves, or need none", f.header[c.columns[0]])
	}
	return c, nil
}

// choose returns the form of a column.
func (f *clockFinder) choose(column int, kinds timeKind) (timeForm, error) {
	c := &f.columns[column]
	const hint = `--time-layout declares it: unix, unix-ms, unix-us, unix-ns, excel, or as Go writes it, for example "01/02/2006 15:04"`
	name, forms := text.Printable(f.header[column]), f.of(column, kinds)
	switch {
	case len(forms) == 0 && c.forms == 0 && c.cells > 1 && c.before != 0:
		return timeForm{}, problem("--time-layout says how times are written", "line %d: column %q: %q is not written like the times before it",
			c.last.line, name, shorten(c.last.text))
	case len(forms) == 0:
		return timeForm{}, problem(hint, "line %d: column %q: %q is not written in a way known here", c.last.line, name, shorten(c.last.text))
	}
	for _, other := range forms[1:] {
		if forms[0].meaning() != other.meaning() {
			return timeForm{}, problem(hint, "line %d: column %q: %q may be written as %s or as %s", c.last.line, name, shorten(c.last.text), forms[0].layout, other.layout)
		}
	}
	return forms[0], nil
}

// of returns the forms of these kinds that all cells of a column can be read in; none of one that is declared to be something
// else.
func (f *clockFinder) of(column int, kinds timeKind) (forms []timeForm) {
	if name := f.header[column]; slices.Contains(f.options.Skip, name) || slices.Contains(f.options.Text, name) {
		return nil
	}
	c := &f.columns[column]
	for i, form := range f.forms {
		if c.cells > 0 && c.forms&(1<<i) != 0 && form.kind&kinds != 0 {
			forms = append(forms, form)
		}
	}
	return forms
}

// find finds the column of times, or those of days and hours. Numbers are taken for times only under such a name.
func (f *clockFinder) find() ([]int, error) {
	full, days, clocks, hours := f.like(fullTime, timeNames), f.like(dayOnly, timeNames), f.like(clockOnly, nil), f.like(hourNumber, hourNames)
	if len(clocks) == 0 {
		clocks = hours
	}
	full = slices.DeleteFunc(full, func(i int) bool { return slices.Contains(days, i) }) // serial days without hours
	for _, list := range []*[]int{&full, &days, &clocks} {
		if named := f.named(*list); len(*list) > 1 && len(named) == 1 {
			*list = named
		}
	}
	switch {
	case len(full) == 1:
		return full, nil
	case len(full) > 1 || len(full) == 0 && len(days) > 1:
		both := append(full, days...)
		return nil, problem("--time-column decides", "the columns %q and %q hold times", f.header[both[0]], f.header[both[1]])
	case len(days) == 1 && len(clocks) == 1:
		return []int{days[0], clocks[0]}, nil
	case len(days) == 1 && len(clocks) > 1:
		return nil, problem("--time-column DATE --time-column HOUR names both", "the columns %q and %q may hold the hours of column %q",
			f.header[clocks[0]], f.header[clocks[1]], f.header[days[0]])
	case len(days) == 1:
		return days, nil
	}
	// What is wrong with a column that has the name, or begins like one of times?
	for i, name := range f.header {
		c := &f.columns[i]
		if c.cells > 0 && (isNamed(name, timeNames) || c.forms == 0 && c.cells > 1 && f.textual(c.before)) {
			_, err := f.choose(i, fullTime|dayOnly)
			return []int{i}, err
		}
	}
	return nil, problem("--time-column names it", "no column of times found")
}

// textual says whether there is a form among these that is no number.
func (f *clockFinder) textual(forms uint64) bool {
	for i, form := range f.forms {
		if forms&(1<<i) != 0 && !form.count && form.kind != clockOnly {
			return true
		}
	}
	return false
}

// like returns the columns whose cells can be read as times of a kind; numbers count under these names only.
func (f *clockFinder) like(kind timeKind, names []string) (columns []int) {
	for i := range f.header {
		named := isNamed(f.header[i], names)
		if slices.ContainsFunc(f.of(i, kind), func(form timeForm) bool { return named || !form.count }) {
			columns = append(columns, i)
		}
	}
	return columns
}

func (f *clockFinder) named(columns []int) (named []int) {
	for _, i := range columns {
		if isNamed(f.header[i], timeNames) || isNamed(f.header[i], hourNames) {
			named = append(named, i)
		}
	}
	return named
}

var (
	timeNames = []string{
		"time", "timestamp", "datetime", "date_time", "date time", "date", "day", "t", "ts", "dt", "_time", "utc", "unix", "epoch",
		"zeit", "zeitstempel", "zeitpunkt", "datum", "datum/zeit", "horodatage", "fecha", "날짜", "일시", "시각", "일자", "측정일시",
	}
	hourNames = []string{"hour", "hours", "hr", "h", "time", "stunde", "uhrzeit", "zeit", "heure", "hora", "ora", "시", "시간", "시각"}
)

func isNamed(column string, names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, column) })
}
