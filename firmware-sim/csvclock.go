package firmwaresim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var errTime = errors.New("not a time")

// clock reads the time of a row: from one column, or from one of days and one of hours.
type clock struct {
	columns  []int
	forms    []timeForm // of each column; of both together if there is one for two
	zone     *time.Location
	zoneName string // as it was given; empty: UTC, because nothing else is known
	declared bool   // the layout was given
}

// hint is what may help when a time can't be read.
func (c *clock) hint() string { return "--time-layout says how times are written, --zone where" }

// daily says that nothing but the day is known, and nobody said that this is meant.
func (c *clock) daily() bool { return len(c.forms) == 1 && c.forms[0].kind == dayOnly && !c.declared }

func (c *clock) String() string {
	layouts := make([]string, len(c.forms))
	zoned := false
	for i, f := range c.forms {
		layouts[i] = f.layout
		zoned = zoned || f.zoned
	}
	s := "time, " + strings.Join(layouts, " and ")
	switch {
	case zoned:
		if _, since1970 := unitOf(c.forms[0].layout); since1970 {
			return s
		}
		return s + ", each with its zone"
	case c.zoneName == "":
		return s + ", taken as UTC: no zone is named (--zone)"
	}
	return s + ", in " + c.zoneName
}

// read returns the time of a row in µs since 1970.
func (c *clock) read(record []string) (at int64, leap bool, err error) {
	cell := record[c.columns[0]]
	if len(c.columns) == 2 && len(c.forms) == 1 {
		cell += " " + record[c.columns[1]]
	}
	m, err := c.forms[0].read(cell, c.zone)
	if err != nil {
		return 0, false, err
	}
	at, leap = m.µs, m.leap
	if len(c.forms) == 2 {
		if m, err = c.forms[1].read(record[c.columns[1]], c.zone); err != nil {
			return 0, false, err
		}
		at, leap = at+m.µs, m.leap
	}
	if !c.forms[0].zoned {
		if at, err = instant(at, c.zone); err != nil {
			return 0, false, fmt.Errorf("%q %w", cell, err)
		}
	}
	if since := (at%day + day) % day; leap && since >= second {
		return 0, false, fmt.Errorf("%q: no leap second can be there, they are at the end of a day in UTC", cell)
	}
	if at < firstTime || at > lastTime {
		return 0, false, fmt.Errorf("%q is outside the years 0 to 9999", cell)
	}
	return at, leap, nil
}

// instant returns the µs since 1970 at which clocks of a zone show a time, which is given as if the zone were UTC.
func instant(shown int64, zone *time.Location) (int64, error) {
	if zone == time.UTC {
		return shown, nil
	}
	var found []int64
	for _, near := range []int64{-day, day} { // the offsets before and after a change
		_, offset := time.UnixMicro(shown + near).In(zone).Zone()
		at := shown - int64(offset)*second
		if _, there := time.UnixMicro(at).In(zone).Zone(); there == offset && !slices.Contains(found, at) {
			found = append(found, at)
		}
	}
	switch len(found) {
	case 0:
		return 0, fmt.Errorf("is skipped by the clocks of %s, which are put forward then", zone)
	case 1:
		return found[0], nil
	}
	return 0, fmt.Errorf("comes twice in %s, whose clocks are put back then; --zone takes offsets like +01:00, too", zone)
}

// parseZone reads a zone as --zone has it.
func parseZone(name string) (*time.Location, error) {
	switch name {
	case "", "UTC", "Z":
		return time.UTC, nil
	}
	for _, layout := range []string{"-07:00", "-0700", "-07"} {
		if t, err := time.Parse(layout, name); err == nil {
			_, offset := t.Zone()
			return time.FixedZone(name, offset), nil
		}
	}
	if !strings.EqualFold(name, "local") { // which would be another one on every machine
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
	}
	return nil, problem("for example UTC, Europe/Berlin, Asia/Seoul or +02:00", "--zone %q is not known", name)
}

// looksLikeTime says whether a text is a time and nothing else.
func looksLikeTime(s string) bool {
	return slices.ContainsFunc(timeForms(), func(f timeForm) bool { return !f.count && f.kind != clockOnly && f.takes(s, time.UTC) })
}
