package firmwaresim

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

const (
	// A device begins a command and notes it in two steps, between which it may be kept waiting.
	lateNote = 500 * time.Millisecond

	// So much after its deadline a command is settled at the latest: the hub waits for 5 s, and is down now and then.
	lateEnd = 30 * time.Second
)

// execution is what a device has noted of one command.
type execution struct {
	begun []time.Time
	ended []string // status
	late  time.Duration
}

// parseExecutions reads the notes of a device. The last line may be torn.
func parseExecutions(notes string) (map[string]*execution, error) {
	executions := map[string]*execution{}
	lines := strings.Split(notes, "\n")
	for _, line := range lines[:len(lines)-1] {
		var word, id string
		var a, b int64
		n, _ := fmt.Sscanf(line, "%s %s %d %d", &word, &id, &a, &b)
		e := executions[id]
		if e == nil {
			e = &execution{}
			executions[id] = e
		}
		switch {
		case word == "begin" && n == 4:
			at := time.Unix(0, a)
			e.begun = append(e.begun, at)
			e.late = max(e.late, at.Sub(time.UnixMicro(b)))
		case word == "end" && n == 3:
			e.ended = append(e.ended, fmt.Sprint(a))
		default:
			return nil, fmt.Errorf("%q is not a note of a device", line)
		}
	}
	return executions, nil
}

// compare holds what the hub says against what the devices have noted and what was sent. It returns what the hub says.
func (v *commandVerification) compare(ctx context.Context) ([]hubCommand, error) {
	list, err := v.hub.commands(ctx)
	if err != nil {
		return nil, err
	}
	trail, err := v.hub.trail(ctx)
	if err != nil {
		return nil, err
	}
	executions := map[string]map[string]*execution{}
	for _, r := range v.devices {
		if executions[r.id], err = executionsOf(r.log); err != nil {
			return nil, err
		}
	}
	steps := map[string][]string{}
	for _, e := range slices.Backward(trail) {
		if e.Command != "" {
			steps[e.Command] = append(steps[e.Command], e.Action)
		}
	}
	r := v.report
	r.Devices, r.Accepted = len(v.devices), len(v.accepted)
	known := map[string]bool{}
	for i := range list {
		c := &list[i]
		if known[c.ID] {
			r.complain("the hub has %s twice", c.ID)
		}
		known[c.ID] = true
		r.States[c.State]++
		e := executions[c.Device][c.ID]
		if e == nil {
			e = &execution{}
		}
		delete(executions[c.Device], c.ID)
		r.Executions += len(e.begun)
		for _, complaint := range c.contradictions(e) {
			r.complain("%s %s of %s is %s %q: %s", c.Name, c.ID, c.Device, c.State, c.Text, complaint)
		}
		if complaint := wrongSteps(steps[c.ID], c.State); complaint != "" {
			r.complain("%s %s of %s: the audit trail has %s", c.Name, c.ID, c.Device, complaint)
		}
		if o, ok := v.accepted[c.ID]; ok && (o.device != c.Device || o.args[0] != c.Name) {
			r.complain("%s was %v, and is %s of %s", c.ID, o.args, c.Name, c.Device)
		}
	}
	for id := range v.accepted {
		if !known[id] {
			r.complain("%s was accepted and is gone", id)
		}
	}
	for name, unknown := range executions {
		for _, id := range slices.Sorted(maps.Keys(unknown)) {
			r.complain("%s carried out %s, which the hub does not know", name, id)
		}
	}
	return list, nil
}

// restarted is how a device answers that does not know how far it got.
const restarted = "the device restarted while carrying it out"

// contradictions are what is wrong with a command, given what its device has noted.
func (c *hubCommand) contradictions(e *execution) (found []string) {
	complain := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if len(e.begun) > 1 && !c.Idempotent {
		complain("begun %d times", len(e.begun))
	}
	if e.late > lateNote {
		complain("begun %v after its deadline", e.late)
	}
	never := func() {
		if len(e.begun) > 0 {
			complain("begun all the same")
		}
	}
	switch c.State {
	case "succeeded":
		if c.Name != "set" && !slices.Contains(e.ended, "0") {
			complain("the device has not noted it")
		}
	case "failed":
		if len(e.begun) == 0 && c.Text != restarted {
			complain("never begun")
		}
		if c.Text != restarted && !slices.Contains(e.ended, "1") {
			complain("the device has not noted that")
		}
	case "expired":
		if !c.Idempotent { // the answer of a device that may have forgotten an earlier time
			never()
		}
	case "rejected", "cancelled":
		never()
	case "unknown":
		if late := c.Changed.Sub(c.Deadline); late > lateEnd {
			complain("settled %v after its deadline", late)
		}
	default:
		complain("not settled")
	}
	return found
}

// wrongSteps says what is wrong with the steps of a command in the audit trail; "" if nothing is.
func wrongSteps(steps []string, state string) string {
	answers := []string{"succeeded", "failed", "rejected", "expired"}
	allowed := []string{"queued"}
	for _, step := range steps {
		step = strings.TrimPrefix(step, "command ")
		if !slices.Contains(allowed, step) {
			return strings.Join(steps, ", ")
		}
		switch step {
		case "queued":
			allowed = []string{"sent", "expired", "cancelled"}
		case "sent":
			allowed = append([]string{"unknown"}, answers...)
		case "unknown":
			allowed = answers
		default:
			allowed = nil
		}
	}
	if len(steps) == 0 || steps[len(steps)-1] != "command "+state {
		return fmt.Sprintf("%s, and it is %s", strings.Join(steps, ", "), state)
	}
	return ""
}

// CommandsReport is the outcome of a verification of commands.
type CommandsReport struct {
	Seed        uint64
	HubKills    int
	DeviceKills int

	Devices    int
	Accepted   int            // commands
	Doubtful   int            // of them, sent again in the end because the hub was killed meanwhile
	Repeated   int            // sent again with the same id, and accepted as the same
	Executions int            // begun by a device
	States     map[string]int // of all commands, those that set channels too

	findings
}

// compareRestart compares what the hub says before and after a clean restart.
func (r *CommandsReport) compareRestart(before, after []hubCommand) {
	if !reflect.DeepEqual(before, after) {
		r.complain("a clean restart changed the commands")
	}
}

// String is the table for people.
func (r *CommandsReport) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d devices, %d kills of the hub, %d kills of devices, seed %d\n", r.Devices, r.HubKills, r.DeviceKills, r.Seed)
	row := func(name string, n int, note string) {
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("  %-24s %8d  %s", name, n, note), " "))
	}
	row("commands accepted", r.Accepted, fmt.Sprintf("%d in doubt at first, %d sent again", r.Doubtful, r.Repeated))
	for _, state := range slices.Sorted(maps.Keys(r.States)) {
		row("  "+state, r.States[state], "")
	}
	row("begun by the devices", r.Executions, "")
	r.conclude(&b, "every command ended once; nothing was done twice that must not be, and nothing too late", "")
	return b.String()
}
