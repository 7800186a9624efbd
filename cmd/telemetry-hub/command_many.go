package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

// outcome is what became of a command to one of many devices.
type outcome struct {
	Device  string              `json:"device"`
	Command *live.CommandStatus `json:"command,omitempty"` // nil: the hub did not accept it
	Error   string              `json:"error,omitempty"`
}

func (o *outcome) succeeded() bool {
	return o.Command != nil && o.Command.State == string(commands.Succeeded)
}

// rollout sends one command to many devices.
type rollout struct {
	*sending
	client *client.Client
	stop   context.CancelFunc

	mu   sync.Mutex
	list []outcome
}

func (s *sending) sendMany(ctx context.Context, cmd *cobra.Command, c *client.Client) error {
	ids, err := s.targets(ctx, c)
	if err != nil {
		return err
	}
	if s.dryRun {
		for _, id := range ids {
			fmt.Fprintln(cmd.OutOrStdout(), id)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s would go to %s\n", s.command.Name, render.Plural(len(ids), "device"))
		return nil
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	r := &rollout{sending: s, client: c, stop: stop}
	if s.stopOnFailure {
		s.wait = true
	}
	r.run(ctx, sending, ids)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.report(cmd, len(ids))
}

// targets returns the devices that are meant.
func (s *sending) targets(ctx context.Context, c *client.Client) ([]string, error) {
	labels, err := parseLabels(s.labels)
	if err != nil {
		return nil, err
	}
	devices, err := c.Devices(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, d := range devices {
		fits := len(s.devices) == 0 || slices.Contains(s.devices, d.ID)
		for k, v := range labels {
			fits = fits && d.Labels[k] == v
		}
		if fits {
			ids = append(ids, d.ID)
		}
	}
	for _, id := range s.devices {
		if !slices.ContainsFunc(devices, func(d api.DeviceItem) bool { return d.ID == id }) {
			return nil, &codedError{withHint(fmt.Errorf("no such device: %s", id), "telemetry-hub device list shows the devices there are"), exitNotFound}
		}
	}
	if len(ids) == 0 {
		return nil, &codedError{withHint(errors.New("no device has these labels"), "telemetry-hub device show tells a device's labels"), exitNotFound}
	}
	return ids, nil
}

// run sends until all have been sent to, or sending ends, and waits for the results that are wanted.
func (r *rollout) run(ctx, sending context.Context, ids []string) {
	pace := time.NewTicker(max(time.Duration(float64(time.Second)/r.rate), 1))
	defer pace.Stop()
	var results sync.WaitGroup
	defer results.Wait()
	for i, id := range ids {
		if i > 0 {
			select {
			case <-pace.C:
			case <-sending.Done():
				return
			}
		}
		if sending.Err() != nil {
			return
		}
		command, err := r.client.SendCommand(ctx, id, r.command)
		o := outcome{Device: id, Command: &command}
		if err != nil {
			o = outcome{Device: id, Error: err.Error()}
		}
		if err != nil || !r.wait {
			r.done(o)
			continue
		}
		results.Go(func() { r.follow(ctx, sending, o) })
	}
}

// follow waits for a result. When sending ends before, it takes the command back if it can.
func (r *rollout) follow(ctx, sending context.Context, o outcome) {
	settled, err := await(sending, r.client, *o.Command)
	if err != nil && sending.Err() != nil && ctx.Err() == nil {
		if settled, err = r.client.CancelCommand(ctx, o.Command.ID); err != nil {
			settled, err = await(ctx, r.client, *o.Command) // it is with the device
		}
	}
	if err != nil {
		o.Error = err.Error()
	} else {
		o.Command = &settled
	}
	r.done(o)
}

func (r *rollout) done(o outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, o)
	if r.stopOnFailure && !o.succeeded() {
		r.stop()
	}
}

// report prints what became of each, and returns an error if it is not what was wanted.
func (r *rollout) report(cmd *cobra.Command, targets int) error {
	good := 0
	for i := range r.list {
		if o := &r.list[i]; o.succeeded() || !r.wait && o.Command != nil {
			good++
		}
	}
	err := render.List(cmd.OutOrStdout(), r.format, r.list, outcomeColumns, "No device was sent to.")
	word := "accepted"
	if r.wait {
		word = "succeeded"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d of %s %s\n", good, render.Plural(targets, "device"), word)
	if err == nil && good < targets {
		err = fmt.Errorf("%s of %d did not", render.Plural(targets-good, "device"), targets)
	}
	return err
}

var outcomeColumns = []render.Column[outcome]{
	{Name: "device", Cell: func(o *outcome) any { return o.Device }},
	{Name: "state", Cell: func(o *outcome) any {
		if o.Command == nil {
			return "not accepted"
		}
		return o.Command.State
	}},
	{Name: "id", Cell: func(o *outcome) any {
		if o.Command == nil {
			return nil
		}
		return o.Command.ID
	}},
	{Name: "text", Cell: func(o *outcome) any {
		if o.Command == nil {
			return o.Error
		}
		return o.Command.Text
	}},
}
