package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// byteSize is a number of bytes, written 1048576, 500MB or 2GiB.
type byteSize int64

// age is a duration that may be 0, which stands for no limit, and that may be counted in days.
type age time.Duration

// setField sets a field of config to a value of a configuration file, or to the text of an environment variable or flag.
func setField(field, value any) (err error) {
	switch f := field.(type) {
	case *string:
		s, ok := value.(string)
		if !ok {
			return fmt.Errorf("%v is not a text in quotes", value)
		}
		*f = s
	case *slog.Level:
		if err := f.UnmarshalText([]byte(fmt.Sprint(value))); err != nil {
			return fmt.Errorf("%v is not one of debug, info, warn, error", value)
		}
	case *int:
		n, err := positive(value)
		if err == nil && (n != math.Trunc(n) || n > math.MaxInt32) {
			err = fmt.Errorf("%v is not a whole number up to %d", value, math.MaxInt32)
		}
		if err != nil {
			return err
		}
		*f = int(n)
	case *float64:
		*f, err = positive(value)
	case *byteSize:
		*f, err = parseByteSize(fmt.Sprint(value))
	case *time.Duration:
		*f, err = parseDuration(value)
		if err == nil && *f <= 0 {
			err = fmt.Errorf("%v is not above 0", value)
		}
	case *age:
		var d time.Duration
		if d, err = parseDuration(value); err == nil && d < 0 {
			err = fmt.Errorf("%v is below 0", value)
		}
		*f = age(d)
	default:
		panic(fmt.Sprintf("config: no way to set a %T", field))
	}
	return err
}

func positive(value any) (float64, error) {
	f, err := strconv.ParseFloat(fmt.Sprint(value), 64)
	if err != nil || !(f > 0) || math.IsInf(f, 1) {
		return 0, fmt.Errorf("%v is not a number above 0", value)
	}
	return f, nil
}

// parseDuration reads Go's durations and days. A number without a unit is refused: nobody knows what it counts.
func parseDuration(value any) (time.Duration, error) {
	s, ok := value.(string)
	if !ok {
		return 0, fmt.Errorf(`%v has no unit: write it as a text like "50ms", "90s", "12h" or "30d"`, value)
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && math.Abs(n) < 100*365 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	} else if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	return 0, fmt.Errorf("%q is not a duration like 50ms, 90s, 12h or 30d", s)
}

func parseByteSize(s string) (byteSize, error) {
	number := strings.TrimRightFunc(s, func(r rune) bool { return r == ' ' || unicode.IsLetter(r) })
	factor, ok := map[string]float64{
		"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
	}[strings.ToUpper(strings.TrimSpace(s[len(number):]))]
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n > 0) || n*factor >= 1<<62 {
		return 0, errors.New(strconv.Quote(s) + " is not a size like 500MB or 2GiB")
	}
	return byteSize(n * factor), nil
}
