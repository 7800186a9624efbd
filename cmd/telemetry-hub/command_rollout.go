package main

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

const (
	rolloutPoll = 250 * time.Millisecond // how long an answer is waited for while the hub sends
	stopWait    = 10 * time.Second       // for a rollout that is stopped
)

// sendMany has the hub send the command to many devices. When a signal comes, no more are sent.
func (s *sending) sendMany(ctx context.Context, cmd *cobra.Command, c *client.Client) error {
	labels, err := parseLabels(s.labels)
	if err != nil {
		return misused(cmd, err)
	}
	started, err := c.StartRollout(ctx, client.NewRollout{
		NewCommand: s.command, Devices: s.devices, Labels: labels, Rate: s.rate, StopOnFailure: s.stopOnFailure, DryRun: s.dryRun,
	})
	if err != nil {
		return err
	}
	if s.dryRun {
		for _, o := range started.Outcomes {
			fmt.Fprintln(cmd.OutOrStdout(), o.Device)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s would go to %s\n", s.command.Name, render.Plural(len(started.Outcomes), "device"))
		return nil
	}
	signalled, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s.wait = s.wait || s.stopOnFailure
	rollout, err := s.awaitRollout(signalled, c, *started.Rollout)
	if signalled.Err() != nil && ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(ctx, stopWait)
		defer cancel()
		if rollout, err = c.StopRollout(ctx, started.Rollout.ID); err == nil {
			err = errors.New("it was stopped; what was sent before goes on")
		}
	}
	outcomes, listErr := c.Outcomes(ctx, started.Rollout.ID)
	if listErr != nil {
		return errors.Join(err, listErr)
	}
	return errors.Join(err, s.report(cmd, outcomes, rollout.Devices))
}

// awaitRollout waits until the command was sent to all devices or, if results are wanted, until all are settled.
func (s *sending) awaitRollout(ctx context.Context, c *client.Client, r api.Rollout) (api.Rollout, error) {
	wait := rolloutPoll
	if s.wait {
		wait = time.Minute
	}
	for r.State != "over" && (s.wait || r.Sent < r.Devices) {
		var err error
		if r, err = c.Rollout(ctx, r.ID, wait); err != nil {
			return r, err
		}
	}
	return r, nil
}

// report prints what became of each, and returns an error if it is not what was wanted.
func (s *sending) report(cmd *cobra.Command, outcomes []api.Outcome, devices int) error {
	good := 0
	for i := range outcomes {
		if c := outcomes[i].Command; c != nil && (!s.wait || c.State == string(commands.Succeeded)) {
			good++
		}
	}
	err := render.List(cmd.OutOrStdout(), s.format, outcomes, outcomeColumns, "")
	word := "accepted"
	if s.wait {
		word = "succeeded"
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%d of %s %s\n", good, render.Plural(devices, "device"), word)
	if err == nil && good < devices {
		err = fmt.Errorf("%s of %d did not", render.Plural(devices-good, "device"), devices)
	}
	return err
}

var outcomeColumns = []render.Column[api.Outcome]{
	{Name: "device", Cell: func(o *api.Outcome) any { return o.Device }},
	{Name: "state", Cell: func(o *api.Outcome) any {
		switch {
		case o.Command != nil:
			return o.Command.State
		case o.Error != "":
			return "not accepted"
		}
		return "not sent"
	}},
	{Name: "id", Cell: func(o *api.Outcome) any {
		if o.Command == nil {
			return nil
		}
		return o.Command.ID
	}},
	{Name: "text", Cell: func(o *api.Outcome) any {
		if o.Command == nil {
			return o.Error
		}
		return o.Command.Text
	}},
}
