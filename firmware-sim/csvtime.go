package firmwaresim

import (
	"fmt"
	"strings"
	"time"
)

// Unix layouts count from 1970-01-01 UTC; fractions are allowed, and kept to the microsecond.
const (
	layoutUnixSeconds = "unix"
	layoutUnixMillis  = "unix-ms"
	layoutUnixMicros  = "unix-us"
	layoutUnixNanos   = "unix-ns"
)

// timeLayouts are tried in this order on the first row. All are unambiguous; a date like 02/03/2015 has to be declared.
// Go takes fractions of a second after any of the layouts with seconds.
func timeLayouts() []string {
	return []string{
		time.RFC3339,
		"2006-01-02 15:04:05",
		"2006-01-02T15:04:05",
		"2006-01-02 15:04:05Z07:00",
		"2006-01-02 15:04:05 Z0700",
		"2006-01-02T15:04:05Z0700",
		"2006-01-02 15:04",
		"2006-01-02T15:04",
		"2006-01-02",
		"2006/01/02 15:04:05",
		"2006/01/02 15:04",
		"02.01.2006 15:04:05",
		"02.01.2006 15:04",
		time.RFC1123Z,
	}
}

// detectLayout finds how a time is written. Numbers are told apart by their size, with number set; without it they are
// not taken for times.
func detectLayout(cell string, number bool) (layout string, ok bool) {
	for _, l := range timeLayouts() {
		if _, err := time.Parse(l, cell); err == nil {
			return l, true
		}
	}
	d, isNumber := parseDecimal(cell)
	if !number || !isNumber {
		return "", false
	}
	// A second of today has 10 digits, and each unit below three more.
	switch magnitude := len(d.digits) + d.exponent; {
	case magnitude <= 11:
		return layoutUnixSeconds, true
	case magnitude <= 14:
		return layoutUnixMillis, true
	case magnitude <= 17:
		return layoutUnixMicros, true
	default:
		return layoutUnixNanos, true
	}
}

// The years 0 to 9999, in µs since 1970: what RFC 3339 can write.
const (
	firstTime = -62167219200e6
	lastTime  = 253402300800e6 - 1
)

// parseTime returns µs since 1970. Times without a zone are UTC.
func parseTime(layout, cell string) (int64, error) {
	unit := 0 // power of ten from the layout's unit to µs
	switch layout {
	case layoutUnixSeconds:
		unit = 6
	case layoutUnixMillis:
		unit = 3
	case layoutUnixMicros:
	case layoutUnixNanos:
		unit = -3
	default:
		t, err := time.Parse(layout, cell)
		if err != nil {
			return 0, fmt.Errorf("%q is not a time like %s", cell, layout)
		}
		return t.UnixMicro(), nil // years 0 to 9999: no layout reads more
	}
	d, ok := parseDecimal(cell)
	if !ok {
		return 0, fmt.Errorf("%q is not a number of the layout %s", cell, layout)
	}
	if d.digits == "" {
		return 0, nil
	}
	d.exponent += unit
	if d.exponent < 0 { // below a microsecond: cut off
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

// timeColumn finds the column of times: by its name, or else the first whose cell reads as a time and not as a number.
func timeColumn(header, row []string) (int, bool) {
	for _, name := range []string{"time", "timestamp", "datetime", "date_time", "date", "ts"} {
		for i, h := range header {
			if strings.EqualFold(h, name) {
				return i, true
			}
		}
	}
	for i, cell := range row {
		if _, ok := detectLayout(cell, false); ok {
			return i, true
		}
	}
	return 0, false
}
