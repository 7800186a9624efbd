package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
)

// Resume takes in the number that HELLO gives to the device's next frame, and returns why the stream can't go on with it, "" if it
// can: the number is settled already, because the buffer behind the old name is a new one or an old state of it, and its frames
// would count as duplicates; or it is out of reach. Until the device connects with a stream that can, there is an alarm.
func (in *Ingest) Resume(next uint64) (problem string) {
	in.ledger.mu.Lock()
	highest := in.set.settled.Max()
	in.next = next
	switch {
	case next <= highest:
		problem = fmt.Sprintf("its next frame is number %d of a stream that has number %d already, and frames up to that one count as duplicates", next, highest)
	case next-1-highest > device.MaxSkip:
		problem = fmt.Sprintf("its next frame is number %d of a stream that has none above %d, and frames that far up are rejected", next, highest)
		in.next = highest + 1
	}
	in.ledger.mu.Unlock()
	in.ledger.numbering.note(in.account.device, problem)
	return problem
}

// numbering is which devices have to begin a new stream, and why.
type numbering struct {
	alarms *alarms.List // static

	mu       sync.Mutex
	problems map[string]string // by device
}

// note takes in what is the matter with a device, "" for nothing. There is one alarm for all of them.
func (n *numbering) note(deviceID, problem string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	before := n.problems[deviceID]
	if before == problem {
		return
	}
	n.problems[deviceID] = problem
	if problem == "" {
		delete(n.problems, deviceID)
	}
	if len(n.problems) == 0 {
		n.alarms.Clear("numbering")
		return
	}
	const named = 5
	devices := slices.Sorted(maps.Keys(n.problems))
	names := strings.Join(devices[:min(len(devices), named)], ", ")
	if len(devices) > named {
		names += fmt.Sprintf(" and %d more", len(devices)-named)
	}
	n.alarms.Set("numbering", fmt.Sprintf("readings of %s are lost until it begins a new stream, as a device must whose buffer is new or put back "+
		"(PROTOCOL.md, 5.1); of %s: %s", names, devices[0], n.problems[devices[0]]))
}
