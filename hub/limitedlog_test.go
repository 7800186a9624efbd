package hub

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// Strangers who are refused a thousand times a second must not fill the disk with lines about it, nor be left out.
func TestStrangersFillNoLog(t *testing.T) {
	var out bytes.Buffer
	now := time.Second
	s := NewLimitedLog(slog.New(slog.NewTextHandler(&out, nil)), func() time.Duration { return now })
	written := func() []string {
		defer out.Reset()
		return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	}
	for i := range 100_000 {
		s.Warn("device refused", "address", fmt.Sprintf("192.0.2.%d:%d", i%7, i), "reason", "because")
		s.Summarize()
	}
	s.Info("viewer left", "address", "192.0.2.1:1")
	if lines := written(); len(lines) != limitedLines+1 || !strings.Contains(lines[0], "address=192.0.2.0:0 reason=because") ||
		!strings.Contains(lines[limitedLines], "viewer left") {
		t.Errorf("%d lines: %q", len(lines), lines)
	}
	now += limitedSpan
	s.Summarize()
	if lines := written(); len(lines) != 1 || !strings.Contains(lines[0], `level=WARN msg="device refused" more=99990 addresses=7 in=1m0s`) {
		t.Errorf("%q", lines)
	}
	s.Warn("device refused", "address", "192.0.2.9:1")
	if lines := written(); len(lines) != 1 || !strings.Contains(lines[0], "192.0.2.9:1") {
		t.Errorf("%q", lines)
	}
	for i := range 10 * limitedHosts { // what is remembered of them is bounded
		s.Warn("device refused", "address", fmt.Sprintf("host-%d:1", i))
	}
	if n := len(s.lines.byMessage["device refused"].hosts); n != limitedHosts {
		t.Errorf("%d addresses are remembered", n)
	}
}
