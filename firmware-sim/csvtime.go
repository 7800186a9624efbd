package firmwaresim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A timeForm is a way to write times: a layout of package time, or one of the counts below.
type timeForm struct {
	layout string
	kind   timeKind
	count  bool // a number that tells its meaning by its size only
	zoned  bool // names its zone, or needs none
}

// meaning is the same for forms that read a cell in the same way, if they read it at all.
func (f *timeForm) meaning() string {
	days, _, _ := strings.Cut(f.layout, " ")
	if f.count || strings.Contains(days, "/") {
		return days
	}
	return ""
}

type timeKind uint8

const (
	fullTime   timeKind = 1 << iota // a day and a time of day
	dayOnly                         // a day
	clockOnly                       // a time of day
	hourNumber                      // a number from 0 to 24
)

// Counts since 1970-01-01 UTC, fractions allowed, and the serial days of spreadsheets, which know no zone.
const (
	layoutUnixSeconds = "unix"
	layoutUnixMillis  = "unix-ms"
	layoutUnixMicros  = "unix-us"
	layoutUnixNanos   = "unix-ns"
	layoutExcel       = "excel"
	layoutExcel1904   = "excel-1904"
)

// timeForms are those that are looked for. Two that read a cell in different ways are never both taken: then one has to be
// declared. Go takes fractions of a second after any layout with seconds, behind a point or a comma.
func timeForms() (forms []timeForm) {
	for _, days := range []string{"2006-01-02", "2006/01/02", "2006.01.02", "02.01.2006", "2.1.2006", "1/2/2006", "2/1/2006"} {
		forms = append(forms, timeForm{layout: days, kind: dayOnly})
		for _, clock := range []string{" 15:04:05", " 15:04", " 3:04:05 PM", " 3:04 PM"} {
			forms = append(forms, timeForm{layout: days + clock, kind: fullTime})
		}
	}
	for _, l := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		forms = append(forms, timeForm{layout: l, kind: fullTime})
	}
	for _, l := range []string{
		time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05 Z0700", "2006-01-02 15:04:05 Z07:00", "2006-01-02 15:04:05Z07", "2006-01-02T15:04:05Z0700",
		"2006-01-02T15:04Z07:00", "2006-01-02 15:04:05 MST", time.RFC1123Z,
	} {
		forms = append(forms, timeForm{layout: l, kind: fullTime, zoned: true})
	}
	for _, l := range []string{"15:04:05", "15:04", "3:04:05 PM", "3:04 PM"} {
		forms = append(forms, timeForm{layout: l, kind: clockOnly})
	}
	forms = append(forms, timeForm{layout: "20060102", kind: dayOnly, count: true})
	for _, l := range []string{"2006010215", "200601021504", "20060102150405"} {
		forms = append(forms, timeForm{layout: l, kind: fullTime, count: true})
	}
	for _, l := range []string{layoutUnixSeconds, layoutUnixMillis, layoutUnixMicros, layoutUnixNanos} {
		forms = append(forms, timeForm{layout: l, kind: fullTime, count: true, zoned: true})
	}
	return append(forms, timeForm{layout: layoutExcel, kind: dayOnly, count: true}, timeForm{layout: layoutExcel, kind: fullTime, count: true},
		timeForm{layout: "hours", kind: hourNumber, count: true})
}

// declaredForm is the form of a layout that was given.
func declaredForm(layout string) timeForm {
	_, counts := unitOf(layout)
	zoned := counts || strings.Contains(layout, "Z07") || strings.Contains(layout, "-07") || strings.Contains(layout, "MST")
	return timeForm{layout: layout, kind: fullTime, zoned: zoned}
}

// A number is taken for a time by itself only within these years, so that it is hardly ever one in two ways.
const (
	firstLikely = 631_152_000_000_000   // 1990 in µs since 1970
	lastLikely  = 2_840_140_800_000_000 // 2060
)

// takes says whether a cell can be read in the form.
func (f *timeForm) takes(cell string, zone *time.Location) bool {
	t, err := f.read(cell, zone)
	if f.layout == layoutExcel && f.kind == dayOnly && !allDigits(cell) {
		return false
	}
	return err == nil && (!f.count || f.kind == hourNumber || firstLikely <= t.µs && t.µs < lastLikely)
}

// moment is what a cell says: µs since 1970, as if the zone were UTC unless the form is zoned.
type moment struct {
	µs   int64
	leap bool // second 60 was written
}

const (
	second = 1_000_000 // µs
	day    = 86_400 * second
)

// read reads a cell. zone knows the abbreviations of its own times, like CET: those of this machine's zone must not count.
func (f *timeForm) read(cell string, zone *time.Location) (m moment, err error) {
	switch f.layout {
	case layoutUnixSeconds, layoutUnixMillis, layoutUnixMicros, layoutUnixNanos:
		m.µs, err = readCount(f.layout, cell)
		return m, err
	case layoutExcel:
		m.µs, err = readSerial(cell, -25_569)
		return m, err
	case layoutExcel1904:
		m.µs, err = readSerial(cell, -24_107)
		return m, err
	case "hours":
		n, err := strconv.ParseUint(cell, 10, 8)
		if err != nil || n > 24 {
			return m, fmt.Errorf("%q is not an hour from 0 to 24", cell)
		}
		m.µs = int64(n) * 3600 * second
		return m, nil
	}
	if !f.zoned {
		zone = time.UTC // what its clocks show is looked for later
	}
	var more time.Duration
	t, err := time.ParseInLocation(f.layout, cell, zone)
	if err != nil {
		if i := strings.LastIndex(cell, ":60"); i >= 0 { // a leap second
			more, m.leap = time.Second, true
			t, err = time.ParseInLocation(f.layout, cell[:i]+":59"+cell[i+3:], zone)
		} else if i := strings.Index(cell, "24:00"); i == 0 || i > 0 && (cell[i-1] == ' ' || cell[i-1] == 'T') { // ISO 8601-1, the end of a day
			more = 24 * time.Hour
			if t, err = time.ParseInLocation(f.layout, cell[:i]+"00"+cell[i+2:], zone); err == nil && t.Hour()+t.Minute()+t.Second() > 0 {
				err = errTime
			}
		}
	}
	if err != nil {
		return m, fmt.Errorf("%q is not a time like %s", cell, f.layout)
	}
	if name, _ := t.Zone(); strings.Contains(f.layout, "MST") && t.Location() != zone && name != "UTC" && name != "GMT" {
		return m, fmt.Errorf("which zone is %s in %q? --zone names one that knows it, like Europe/Berlin", name, cell)
	}
	t = t.Add(more)
	if f.kind == clockOnly {
		t = t.AddDate(1970, 0, 0) // without a day it is one of the year 0
	}
	m.µs = t.UnixMicro()
	return m, nil
}

// The years 0 to 9999, in µs since 1970: what RFC 3339 can write.
const (
	firstTime = -62167219200e6
	lastTime  = 253402300800e6 - 1
)

// unitOf is the power of ten from a count since 1970 to µs.
func unitOf(layout string) (exponent int, ok bool) {
	switch layout {
	case layoutUnixSeconds:
		return 6, true
	case layoutUnixMillis:
		return 3, true
	case layoutUnixMicros:
		return 0, true
	case layoutUnixNanos:
		return -3, true
	}
	return 0, false
}

// readCount reads a count since 1970, cut off below a microsecond.
func readCount(layout, cell string) (int64, error) {
	d, ok := parseDecimal(strings.Replace(cell, ",", ".", 1))
	if !ok {
		return 0, fmt.Errorf("%q is not a number of the layout %s", cell, layout)
	}
	if d.digits == "" {
		return 0, nil
	}
	unit, _ := unitOf(layout)
	d.exponent += unit
	if d.exponent < 0 {
		keep := len(d.digits) + d.exponent
		if keep <= 0 {
			return 0, nil
		}
		d.digits, d.exponent = d.digits[:keep], 0
	}
	us, ok := d.raw(0)
	if !ok || us < firstTime || us > lastTime {
		return 0, fmt.Errorf("%s is outside the years 0 to 9999", cell)
	}
	return us, nil
}

// readSerial reads the serial day of a spreadsheet whose day 0 is so many days from 1970. Decimals are as many as the
// program showed: a time that whole seconds, or else milliseconds, round to is meant to be that.
func readSerial(cell string, from1970 int64) (int64, error) {
	cell = strings.Replace(cell, ",", ".", 1)
	d, ok := parseDecimal(cell)
	days, isFloat := parseFloat(cell)
	if !ok || !isFloat || days < 0 || days >= 2_958_466 { // the year 10000
		return 0, fmt.Errorf("%q is not a serial day of a spreadsheet", cell)
	}
	us := days * day
	half := day / 2 * math.Pow10(-max(0, -d.exponent)) // of the last decimal
	for _, unit := range []float64{second, 1000} {
		if near := math.Round(us/unit) * unit; math.Abs(us-near) <= half+1 {
			us = near
			break
		}
	}
	return int64(math.Round(us)) + from1970*day, nil
}
