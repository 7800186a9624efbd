package hub

import (
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// holes decides when a device is asked for frames that are missing. A hole is normal while a device sends live data first
// and its backlog behind it: as long as the holes change, nobody is asked.
type holes struct {
	missing device.Ranges // at the last look
	since   time.Duration // when they were first seen so
	asked   time.Duration // when RESEND was last sent
	pause   time.Duration // from then to the next; 0: never asked
}

// due reports whether the device is to be asked now for missing, which holds for the moment now.
func (h *holes) due(now time.Duration, missing device.Ranges, p pace) bool {
	if !slices.Equal(missing, h.missing) {
		h.missing, h.since = missing, now
		h.pause = min(h.pause, p.resend) // there was progress: the device is worth asking again
		return false
	}
	if len(missing) == 0 || now-h.since < p.holes || h.pause > 0 && now-h.asked < h.pause {
		return false
	}
	h.asked = now
	h.pause = min(max(2*h.pause, p.resend), p.resendMost)
	return true
}

// askable are the ranges worth asking for, of a device that holds nothing below oldest: what it holds or, if it holds none
// of them, all of them, for it to declare them lost. It changes missing.
func askable(missing device.Ranges, oldest uint64) device.Ranges {
	for i, r := range missing {
		if r.Last >= oldest {
			missing[i].First = max(r.First, oldest)
			return missing[i:]
		}
	}
	return missing
}
