package firmwaresim

import (
	"context"
	"fmt"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	leastInterval = 0.1    // s between two frames
	mostInterval  = 3600.0 // s

	rebootDrain = 2 * time.Second // to have answered, and everything acknowledged, before a reboot
	rebootTime  = 2 * time.Second // a device is away for it
	lateAnswer  = 10.0            // s

	leastSetpoint, mostSetpoint = 5.0, 35.0 // °C
)

// commandSpecs are the commands that every simulated device obeys; those behind blink are for tests of a hub.
func commandSpecs() []device.CommandSpec {
	bound := func(f float64) *float64 { return &f }
	return []device.CommandSpec{
		{Name: "set_interval", Confirm: device.ConfirmAsk, Supersedes: true, Idempotent: true, Args: []device.Arg{
			{Name: "seconds", Type: device.Float64, Unit: "s", Min: bound(leastInterval), Max: bound(mostInterval)},
		}},
		{Name: "reboot", Confirm: device.ConfirmTyped},
		{Name: "blink", Idempotent: true},
		{Name: "fail"},
		{Name: "answer_late", Args: []device.Arg{{Name: "seconds", Type: device.Float64, Unit: "s", Min: bound(0), Max: bound(60), Optional: true}}},
		{Name: "never_answer"},
		{Name: "answer_twice"},
	}
}

// setpointSpec is the command of a device with a thermostat.
func setpointSpec() device.CommandSpec {
	least, most := leastSetpoint, mostSetpoint
	return device.CommandSpec{Name: "set_setpoint", Confirm: device.ConfirmAsk, Supersedes: true, Idempotent: true, Args: []device.Arg{
		{Name: "celsius", Type: device.Float64, Unit: "Cel", Min: &least, Max: &most},
	}}
}

// answers is how often a device sends the result of a command.
func answers(cmd *device.Command) int {
	switch cmd.Name {
	case "never_answer":
		return 0
	case "answer_twice":
		return 2
	}
	return 1
}

// controls are what people can turn at a simulated device. Who makes the frames guards them.
type controls struct {
	setpoint float64 // °C, in steps of 0.1; 0: the heating is off
}

// begin is how a device's controls are when it has started.
func begin() controls { return controls{setpoint: 20} }

// obey carries out a command.
func (m *member) obey(ctx context.Context, cmd device.Command) device.Result {
	switch cmd.Name {
	case "set_interval":
		seconds := cmd.Args["seconds"].(float64)
		m.setInterval(time.Duration(seconds * float64(time.Second)))
		return device.Result{Text: fmt.Sprintf("a frame every %g s", seconds), Values: cmd.Args}
	case "set_setpoint":
		return m.setSetpoint(cmd.Args["celsius"].(float64))
	case "reboot":
		m.tasks.Go(func() { m.leaveForReboot(ctx) })
		return device.Result{Text: "rebooting"}
	case "blink":
		return device.Result{Text: "blinked 3 times"}
	case "fail":
		return device.Result{Status: device.ResultFailed, Text: "failed on purpose"}
	case "answer_late":
		seconds, ok := cmd.Args["seconds"].(float64)
		if !ok {
			seconds = lateAnswer
		}
		if !sleep(ctx, time.Duration(seconds*float64(time.Second))) {
			return device.Result{Status: device.ResultFailed, Text: "interrupted"}
		}
		return device.Result{Text: fmt.Sprintf("answered %g s late", seconds)}
	}
	return device.Result{Text: "done"}
}

// set gives a writable channel a value.
func (m *member) set(_ context.Context, channel device.Channel, value any) device.Result {
	if celsius, ok := value.(float64); ok && channel.Name == "setpoint" {
		return m.setSetpoint(celsius)
	}
	return device.Result{Status: device.ResultRejected, Text: "it cannot be set"}
}

func (m *member) setSetpoint(celsius float64) device.Result {
	if !(celsius >= leastSetpoint && celsius <= mostSetpoint) {
		return device.Result{Status: device.ResultRejected, Text: fmt.Sprintf("from %g to %g °C only", leastSetpoint, mostSetpoint)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.controls.setpoint = float64(int64(celsius*10+0.5)) / 10
	return device.Result{Text: fmt.Sprintf("heating to %g °C", m.controls.setpoint), Values: map[string]any{"celsius": m.controls.setpoint}}
}

// setInterval makes the device measure at its own pace instead of the fleet's.
func (m *member) setInterval(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.interval = d
	switch {
	case m.ended:
	case m.timer == nil:
		m.timer = time.AfterFunc(d, m.tick)
	default:
		m.timer.Reset(d)
	}
}

// tick measures at the device's own pace.
func (m *member) tick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	_ = m.makeFrame(time.Now()) // the client is closed, or the profile is broken, which the fleet's own pace has shown
	m.timer.Reset(m.interval)
}

// endPace ends measuring at the device's own pace.
func (m *member) endPace() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	if m.timer != nil {
		m.timer.Stop()
	}
}

// leaveForReboot stops measuring, has everything acknowledged if that does not take long, and ends the connection.
func (m *member) leaveForReboot(ctx context.Context) {
	m.mu.Lock()
	m.down = true
	c := m.client
	m.mu.Unlock()
	draining, cancel := context.WithTimeout(ctx, rebootDrain)
	defer cancel()
	sleep(draining, rebootDrain/4) // the result goes first
	_ = c.Drain(draining)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leave != nil {
		m.leave()
	}
}

// reboot starts the device anew: with another boot counter, and without what was in its memory.
func (m *member) reboot() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.retired.add(m.client.Stats())
	if err := m.client.Close(); err != nil {
		return err
	}
	m.down = false
	m.controls = begin()
	return m.boot(time.Now())
}
