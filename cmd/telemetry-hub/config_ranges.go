package main

import (
	"fmt"
	"time"
)

// allowed is what a setting may be, as it is written in the file; empty: no bound. A value outside is a slip, such as a
// forgotten unit, and is refused: a hub that took it would drop everything at once, or admit nobody.
type allowed struct {
	least, most string
	none        bool // "0s" stands for no limit
}

// ranges are the bounds of the settings, by key.
var ranges = map[string]allowed{
	"journal.commit_window": {least: "5ms", most: "1s"},
	"journal.max_bytes":     {least: "4MiB"},
	"journal.max_age":       {least: "1m", none: true},
	"history.max_bytes":     {least: "1MiB"},
	"history.max_age":       {least: "1m", none: true},

	"influx.timeout":        {least: "1s", most: "10m"},
	"influx.batch_lines":    {least: "1", most: "100000"},
	"influx.batch_bytes":    {least: "4KiB", most: "32MiB"},
	"influx.flush_interval": {least: "10ms", most: "1h"},

	"limits.handshake_timeout":    {least: "1s", most: "10m"},
	"limits.connects_per_device":  {least: "0.001"},
	"limits.failures_per_address": {least: "0.001"},
	"limits.frames_per_second":    {least: "0.1"},
	"limits.controls_per_second":  {least: "1"},
	"limits.window_bytes":         {least: "16384"}, // of one message
	"limits.idle":                 {least: "5s"},
	"limits.write_timeout":        {least: "1s", most: "10m"},
}

// checkRange refuses a value that is out of the range of its key.
func checkRange(key string, field, value any) error {
	r, ok := ranges[key]
	if !ok || r.none && amount(field) == 0 {
		return nil
	}
	besides := ""
	if r.none {
		besides = `, or "0s" for no limit`
	}
	if least, ok := bound(field, r.least); ok && amount(field) < least {
		return withHint(fmt.Errorf("%v is too little", value), "%s is at least %s%s", key, r.least, besides)
	}
	if most, ok := bound(field, r.most); ok && amount(field) > most {
		return withHint(fmt.Errorf("%v is too much", value), "%s is at most %s%s", key, r.most, besides)
	}
	return nil
}

// bound reads the text of a bound as the kind of value that field is.
func bound(field any, text string) (float64, bool) {
	if text == "" {
		return 0, false
	}
	var to any
	switch field.(type) {
	case *int:
		to = new(int)
	case *float64:
		to = new(float64)
	case *byteSize:
		to = new(byteSize)
	case *time.Duration:
		to = new(time.Duration)
	case *age:
		to = new(age)
	}
	if err := setField(to, text); err != nil {
		panic(fmt.Sprintf("config: bound %q: %v", text, err))
	}
	return amount(to), true
}

// amount is the value of a field as a number.
func amount(field any) float64 {
	switch f := field.(type) {
	case *int:
		return float64(*f)
	case *float64:
		return *f
	case *byteSize:
		return float64(*f)
	case *time.Duration:
		return float64(*f)
	case *age:
		return float64(*f)
	}
	panic(fmt.Sprintf("config: a %T has no range", field))
}
