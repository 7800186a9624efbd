package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	maxKnownCommands  = 256     // remembered, so that none is carried out twice
	maxQueuedCommands = 64      // waiting for the one before
	maxStoredResult   = 1 << 10 // bytes; a longer RESULT is remembered without its values
)

// commands is what the device knows of the commands it got. Client.mu guards it.
type commands struct {
	known   map[device.CommandID]*command
	order   []device.CommandID // of known, oldest first
	queue   []*command         // to be carried out, the first one perhaps just now
	working bool               // a task carries out the queue
	replies [][]byte           // RESULT messages to be sent, oldest first
	stored  int                // bytes of the results
}

// command is one command the device has got.
type command struct {
	device.Command
	expires time.Time // not to be begun afterwards
	begun   bool      // recorded as about to be carried out
	result  []byte    // RESULT message; nil while there is none
}

// remember makes the command known; the oldest finished ones are forgotten.
func (cs *commands) remember(k *command) {
	if cs.known == nil {
		cs.known = make(map[device.CommandID]*command)
	}
	for len(cs.order) >= maxKnownCommands {
		i := slices.IndexFunc(cs.order, func(id device.CommandID) bool { return cs.known[id].result != nil })
		cs.stored -= len(cs.known[cs.order[i]].result)
		delete(cs.known, cs.order[i])
		cs.order = slices.Delete(cs.order, i, i+1)
	}
	cs.known[k.ID] = k
	cs.order = append(cs.order, k.ID)
}

// reply queues a RESULT message. The hub asks again for one that is missing, so the oldest may go.
func (cs *commands) reply(message []byte) {
	if len(cs.replies) == maxKnownCommands {
		cs.replies = cs.replies[1:]
	}
	cs.replies = append(cs.replies, message)
}

func (cs *commands) setResult(k *command, message []byte) {
	cs.stored += len(message) - len(k.result)
	k.result = message
}

// bytes is how much of the buffer file the commands take.
func (cs *commands) bytes() int { return cs.stored + len(cs.order)*frameOverhead }

// appendRecords appends what the buffer file must hold.
func (cs *commands) appendRecords(dst []byte) []byte {
	for _, id := range cs.order {
		switch k := cs.known[id]; {
		case k.result != nil:
			dst = appendRecord(dst, recordResult, k.result)
		case k.begun:
			dst = appendRecord(dst, recordCommand, id[:])
		}
	}
	return dst
}

// restoreBegun takes in a command that was begun before the restart. Unless its result follows, nobody knows how far it got.
func (cs *commands) restoreBegun(id device.CommandID) {
	cs.restoreResult(id, device.AppendControl(nil, &device.Result{ID: id, Status: device.ResultFailed,
		Text: "the device restarted while carrying it out"}))
}

func (cs *commands) restoreResult(id device.CommandID, message []byte) {
	k := cs.known[id]
	if k == nil {
		k = &command{Command: device.Command{ID: id}, begun: true}
		cs.remember(k)
	}
	cs.setResult(k, message)
}

// takeCommand answers a command or queues it. left is the time it may still be begun in.
func (c *Client) takeCommand(ctx context.Context, cmd *device.Command, left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cs := &c.commands
	if k := cs.known[cmd.ID]; k != nil {
		if k.result != nil {
			c.answer(k, k.result)
		}
		return // or it waits or is being carried out, and is answered then
	}
	k := &command{Command: *cmd, expires: time.Now().Add(left)}
	err := c.checkCommand(&k.Command)
	switch {
	case err != nil:
		cs.remember(k)
		c.finish(k, device.Result{Status: device.ResultRejected, Text: shortText(err.Error())})
	case len(cs.queue) == maxQueuedCommands:
		// Not remembered: it may come again when there is room.
		cs.reply(encodeResult(cmd.ID, device.Result{Status: device.ResultRejected, Text: "too many commands are waiting"}))
	default:
		cs.remember(k)
		cs.queue = append(cs.queue, k)
		c.startCommands(ctx)
	}
}

// checkCommand compares a command with the schema and puts its arguments into the types described there.
func (c *Client) checkCommand(cmd *device.Command) (err error) {
	if cmd.Name == device.CommandSet && c.cfg.OnSet != nil {
		spec, err := c.settingSpec(cmd)
		if err == nil {
			cmd.Args, err = spec.CheckArgs(cmd.Args)
		}
		return err
	}
	spec, ok := c.schema.schema.Command(cmd.Name)
	if !ok || c.cfg.OnCommand == nil {
		return fmt.Errorf("there is no command %q", cmd.Name)
	}
	cmd.Args, err = spec.CheckArgs(cmd.Args)
	return err
}

// settingSpec is what a command that sets a channel has to be like.
func (c *Client) settingSpec(cmd *device.Command) (*device.CommandSpec, error) {
	if len(cmd.Args) != 1 {
		return nil, fmt.Errorf("%q has one argument", cmd.Name)
	}
	for name := range cmd.Args {
		if ch, ok := c.schema.schema.Setting(name); ok {
			return &device.CommandSpec{Name: cmd.Name, Args: []device.Arg{ch.SettingArg()}}, nil
		}
	}
	return nil, errors.New("there is no writable channel of that name")
}

// startCommands makes sure that a task carries out the queue. The caller holds c.mu.
func (c *Client) startCommands(ctx context.Context) {
	if len(c.commands.queue) > 0 && !c.commands.working {
		c.commands.working = true
		c.tasks.Go(func() { c.carryOutAll(ctx) })
	}
}

func (c *Client) carryOutAll(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cs := &c.commands
	for len(cs.queue) > 0 && ctx.Err() == nil {
		k := cs.queue[0]
		c.mu.Unlock()
		result, ok := c.carryOut(ctx, k)
		c.mu.Lock()
		if ok {
			cs.queue = cs.queue[1:]
			c.finish(k, result)
			notify(c.wake)
		}
	}
	cs.working = false
}

// carryOut calls OnCommand, unless the command's time is over or ctx ends before it is begun.
func (c *Client) carryOut(ctx context.Context, k *command) (r device.Result, ok bool) {
	expired := device.Result{Status: device.ResultExpired, Text: "its time was over"}
	if !time.Now().Before(k.expires) {
		return expired, true
	}
	if c.disk != nil {
		if !c.recordBegun(ctx, k) {
			return device.Result{}, false
		}
		if !time.Now().Before(k.expires) {
			return expired, true
		}
	}
	if k.Name != device.CommandSet {
		return c.cfg.OnCommand(ctx, k.Command), true
	}
	return c.set(ctx, k), true
}

// set calls OnSet. The channel may be gone since the command came.
func (c *Client) set(ctx context.Context, k *command) device.Result {
	for name, value := range k.Args {
		c.mu.Lock()
		ch, ok := c.schema.schema.Setting(name)
		c.mu.Unlock()
		if ok {
			return c.cfg.OnSet(ctx, *ch, value)
		}
	}
	return device.Result{Status: device.ResultRejected, Text: "there is no such channel any more"}
}

// recordBegun makes it durable that the command is about to be carried out: after a crash it is not carried out again. It
// returns false if ctx ends before.
func (c *Client) recordBegun(ctx context.Context, k *command) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.begun = true
	c.buf.log.command(k.ID)
	for recorded := c.buf.log.appended; c.durable < recorded; {
		synced := c.synced
		c.mu.Unlock()
		select {
		case <-synced:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return false
		}
	}
	return true
}

// finish remembers the result of a command and queues its RESULT. The caller holds c.mu.
func (c *Client) finish(k *command, r device.Result) {
	message := encodeResult(k.ID, r)
	c.answer(k, message)
	if len(message) > maxStoredResult {
		r.Values = nil
		message = encodeResult(k.ID, r)
	}
	c.commands.setResult(k, message)
	if c.buf.log != nil {
		c.buf.log.result(message)
	}
}

// answer queues the RESULT of a command: once, unless the device is to misbehave. The caller holds c.mu.
func (c *Client) answer(k *command, message []byte) {
	times := 1
	if c.cfg.Faults != nil && c.cfg.Faults.Answers != nil {
		times = c.cfg.Faults.Answers(&k.Command)
	}
	for range times {
		c.commands.reply(message)
	}
}

// encodeResult makes a RESULT message of what OnCommand returned. If the protocol has no place for it, the result says so.
func encodeResult(id device.CommandID, r device.Result) []byte {
	r.ID, r.Values = id, maps.Clone(r.Values)
	for name, v := range r.Values {
		r.Values[name] = plainValue(v)
	}
	if err := r.Validate(); err != nil {
		r = device.Result{ID: id, Status: min(r.Status, device.ResultExpired), Text: shortText("its result cannot be sent: " + err.Error())}
	}
	message := device.AppendControl(nil, &r)
	if len(message) > device.MaxMessage {
		r.Values = nil
		message = device.AppendControl(nil, &r)
	}
	return message
}

// shortText cuts a text to what the protocol allows.
func shortText(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), device.MaxText)], "")
}

// plainValue makes of Go's numeric types those the protocol has.
func plainValue(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int32:
		return int64(v)
	case uint32:
		return int64(v)
	case float32:
		return float64(v)
	}
	return v
}

// timeLeft is how long a command may still be begun. The hub's clock counts, which can be no later than hubNow as the device knows
// it from WELCOME: a device whose own is wrong can still be commanded.
func timeLeft(cmd *device.Command, hubNow int64) time.Duration {
	ttl := time.Duration(cmd.TTL) * time.Millisecond
	if cmd.Deadline <= hubNow {
		return 0
	}
	if left := uint64(cmd.Deadline) - uint64(hubNow); left < math.MaxInt64/1000 {
		return min(ttl, time.Duration(left)*time.Microsecond)
	}
	return ttl
}
