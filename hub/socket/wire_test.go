package socket

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestCloseBodyFitsAControlFrame(t *testing.T) {
	for _, text := range []string{"", "short", strings.Repeat("x", 200), strings.Repeat("ü", 100), "bad\xff"} {
		b := closeBody(device.CloseBadState, text)
		if len(b) > 125 || b[0] != 0x0f || b[1] != 0xa0 || !utf8.Valid(b[2:]) || len(text) > 125 && len(b) < 124 {
			t.Errorf("%q: %q", text, b)
		}
	}
}
