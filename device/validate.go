package device

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Validate implements Message.
func (m *Hello) Validate() error {
	switch {
	case m.Stream == 0:
		return errors.New("the stream is 0")
	case m.Clock > ClockBoot:
		return fmt.Errorf("unknown clock %d", m.Clock)
	case m.Oldest == 0 || m.Oldest > m.Next || m.Next > MaxSeq:
		return fmt.Errorf("oldest %d and next %d do not ascend within 1–%d", m.Oldest, m.Next, uint64(MaxSeq))
	}
	return cmp.Or(checkText("firmware", m.Firmware), checkText("model", m.Model))
}

// Validate implements Message.
func (m *Lost) Validate() error {
	switch {
	case m.First == 0 || m.First > m.Last || m.Last > MaxSeq:
		return fmt.Errorf("first %d and last %d do not ascend within 1–%d", m.First, m.Last, uint64(MaxSeq))
	case m.Reason == 0:
		return errors.New("no reason")
	}
	return checkText("text", m.Text)
}

// Validate implements Message.
func (m *Result) Validate() error {
	switch {
	case m.ID == CommandID{}:
		return errors.New("no command id")
	case m.Status > ResultExpired:
		return fmt.Errorf("unknown status %d", m.Status)
	}
	return cmp.Or(checkText("text", m.Text), checkValues("values", m.Values))
}

// Validate implements Message.
func (m *Welcome) Validate() error {
	if m.WindowFrames == 0 || m.WindowBytes == 0 || m.Idle == 0 || m.FrameRate == 0 {
		return errors.New("a window, the idle time or the frame rate is 0")
	}
	return cmp.Or(checkName("device", m.Device), m.Received.Validate())
}

// Validate implements Message.
func (m *Ack) Validate() error { return m.Ranges.Validate() }

// Validate implements Message.
func (m *Reject) Validate() error {
	switch {
	case m.Seq > MaxSeq:
		return fmt.Errorf("sequence number %d is above %d", m.Seq, uint64(MaxSeq))
	case m.Code == 0:
		return errors.New("no code")
	}
	return checkText("text", m.Text)
}

// Validate implements Message.
func (m *Resend) Validate() error { return m.Ranges.Validate() }

// Validate implements Message.
func (m *Command) Validate() error {
	if m.ID == (CommandID{}) {
		return errors.New("no command id")
	}
	return cmp.Or(checkName("name", m.Name), checkValues("arguments", m.Args))
}

// Validate implements Message.
func (m *GoAway) Validate() error {
	switch {
	case m.Reason == 0:
		return errors.New("no reason")
	case m.MinMS > m.MaxMS:
		return fmt.Errorf("the least wait of %d ms is above the longest of %d ms", m.MinMS, m.MaxMS)
	}
	return checkText("text", m.Text)
}

// checkValues holds the arguments of a command or the values of a result to what every receiver can take.
func checkValues(what string, values map[string]any) error {
	if len(values) > MaxArgs {
		return fmt.Errorf("%d %s, at most %d", len(values), what, MaxArgs)
	}
	for name, v := range values {
		if err := checkName(what, name); err != nil {
			return err
		}
		switch v := v.(type) {
		case bool, int64, float64:
		case string:
			if len(v) > MaxString || !utf8.ValidString(v) {
				return fmt.Errorf("%s: %q is not UTF-8 of at most %d bytes", what, name, MaxString)
			}
		default:
			return fmt.Errorf("%s: %q is not a bool, integer, float or text", what, name)
		}
	}
	return nil
}

func checkName(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s: an empty name", what)
	}
	return checkLine(what, s, MaxName)
}

func checkText(what, s string) error { return checkLine(what, s, MaxText) }

// checkLine holds s to one line of UTF-8 that does no harm in a table, a log or a terminal.
func checkLine(what, s string, limit int) error {
	switch {
	case len(s) > limit:
		return fmt.Errorf("%s: %d bytes, at most %d", what, len(s), limit)
	case !utf8.ValidString(s):
		return fmt.Errorf("%s: not UTF-8", what)
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Errorf("%s: a control character in %q", what, s)
	}
	return nil
}
