package render

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Ago says how long before now t was.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	d := now.Sub(t)
	if d < 0 {
		return Stamp(t)
	}
	return Duration(d) + " ago"
}

// Duration is d in its largest unit: 42s, 5m, 3h, 12d.
func Duration(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(0, d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// Stamp is a time to the second, as RFC 3339 in UTC.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// Bytes is a number of bytes in the unit that fits: 512 B, 3.4 KiB, 1.2 GiB.
func Bytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1 << 10; f < 1000 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// Grouped is n with a comma between thousands.
func Grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Plural is a number of things: 1 device, 2 devices.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// wrapped breaks s into lines of at most width columns where there are words to break at. Control characters become
// spaces: a terminal must not obey a text that came from elsewhere.
func wrapped(s string, width int) iter.Seq[string] {
	return func(yield func(string) bool) {
		line := ""
		for _, word := range strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == ' ' }) {
			if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
				if !yield(line) {
					return
				}
				line = ""
			}
			line = strings.TrimPrefix(line+" "+word, " ")
		}
		if line != "" {
			yield(line)
		}
	}
}
