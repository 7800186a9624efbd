package stomp

import (
	"strconv"
	"strings"
	"time"
)

// HeartBeat is the value of a heart-beat header: how often its sender can say something, and wants to hear something.
// 0: not at all.
type HeartBeat struct{ Sends, Wants time.Duration }

// String is the header's value.
func (h HeartBeat) String() string {
	return strconv.FormatInt(h.Sends.Milliseconds(), 10) + "," + strconv.FormatInt(h.Wants.Milliseconds(), 10)
}

// Interval is how often a side must send, given what it can and what the other wants.
func Interval(sends, wants time.Duration) time.Duration {
	if sends == 0 || wants == 0 {
		return 0
	}
	return max(sends, wants)
}

// ParseHeartBeat parses the value of a heart-beat header.
func ParseHeartBeat(value string) (HeartBeat, error) {
	const most = 24 * time.Hour // nobody means more
	a, b, _ := strings.Cut(value, ",")
	sends, errSends := parseDigits(a)
	wants, errWants := parseDigits(b)
	if errSends != nil || errWants != nil {
		return HeartBeat{}, &FrameError{Text: "heart-beat must be two numbers of milliseconds: 10000,10000"}
	}
	duration := func(ms uint64) time.Duration {
		return time.Duration(min(ms, uint64(most.Milliseconds()))) * time.Millisecond
	}
	return HeartBeat{Sends: duration(sends), Wants: duration(wants)}, nil
}

// Accepts reports whether a list of versions, like 1.0,1.1,1.2, names one.
func Accepts(acceptVersion, version string) bool {
	for v := range strings.SplitSeq(acceptVersion, ",") {
		if v == version {
			return true
		}
	}
	return false
}
