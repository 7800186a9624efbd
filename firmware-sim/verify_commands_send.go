package firmwaresim

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// sentCommand is a command that the hub is asked to take.
type sentCommand struct {
	id, device string
	args       []string
}

// act does one thing that a person might do.
func (v *commandVerification) act(ctx context.Context, rng *rand.Rand) {
	id := v.devices[rng.IntN(len(v.devices))].id
	switch rng.IntN(12) {
	case 0: // the same once more
		if o, ok := v.known(rng); ok {
			v.send(ctx, o)
		}
	case 1: // if it is not too late
		o := newCommand(rng, id)
		v.send(ctx, o)
		_ = v.hub.command(ctx, discard, "command", "cancel", o.id)
	case 2:
		level := rng.Int64N(1000)
		v.mu.Lock()
		defer v.mu.Unlock() // the last one that the hub took counts
		if v.hub.desire(ctx, id, "level", strconv.FormatInt(level, 10)) == nil {
			v.desired[id] = level
		} else {
			delete(v.desired, id) // the hub may have taken it
		}
	default:
		v.send(ctx, newCommand(rng, id))
	}
}

// newCommand is some command.
func newCommand(rng *rand.Rand, id string) sentCommand {
	var uuid device.CommandID
	for i := range uuid {
		uuid[i] = byte(rng.Uint32())
	}
	o := sentCommand{id: uuid.String(), device: id}
	number := strconv.Itoa(rng.IntN(1000))
	ttl := time.Duration(1000+rng.IntN(9000)) * time.Millisecond
	switch rng.IntN(12) {
	case 0:
		o.args = []string{"slow", "ms=" + number}
	case 1:
		o.args, ttl = []string{"slow", "ms=" + strconv.Itoa(7000+rng.IntN(2000))}, time.Second // answers late
	case 2:
		o.args = []string{"fail"}
	case 3:
		o.args = []string{"mute"}
	case 4:
		o.args = []string{"twice"}
	case 5:
		o.args = []string{"nudge"}
	case 6, 7:
		o.args = []string{"aim", "n=" + number}
	default:
		o.args = []string{"act", "n=" + number}
	}
	o.args = append(o.args, "--ttl", ttl.String())
	return o
}

// known is some command that was accepted.
func (v *commandVerification) known(rng *rand.Rand) (sentCommand, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	skip := rng.IntN(len(v.accepted) + 1)
	for _, o := range v.accepted {
		if skip--; skip < 0 {
			return o, true
		}
	}
	return sentCommand{}, false
}

// send has a command accepted; if the hub is killed meanwhile, nobody knows whether it was.
func (v *commandVerification) send(ctx context.Context, o sentCommand) {
	_, err := v.hub.send(ctx, o.device, append(o.args, "--id", o.id)...)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, again := v.accepted[o.id]; again && err == nil {
		v.report.Repeated++
	}
	if err == nil {
		v.accepted[o.id] = o
		return
	}
	v.doubtful = append(v.doubtful, o)
}
