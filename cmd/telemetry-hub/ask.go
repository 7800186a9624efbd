package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
)

// printing completes a command that prints what get returns of a hub.
func printing[T any](cmd *cobra.Command, hub *hubFlags, m mode, get func(context.Context, *client.Client, []string) (T, error),
	print func(w io.Writer, format string, answer T) error, arguments ...names) *cobra.Command {
	var format string
	formatFlag(cmd, &format)
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(arguments...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withHub(cmd, hub, m, func(ctx context.Context, c *client.Client) error {
			answer, err := get(ctx, c, args)
			if err != nil {
				return err
			}
			return print(cmd.OutOrStdout(), format, answer)
		})
	}
	return cmd
}

// inColumns prints a list; a table without rows is the text empty.
func inColumns[T any](columns []render.Column[T], empty string) func(io.Writer, string, []T) error {
	return func(w io.Writer, format string, list []T) error { return render.List(w, format, list, columns, empty) }
}

// inFields prints one thing.
func inFields[T any](fill func(*render.Table, *T)) func(io.Writer, string, T) error {
	return func(w io.Writer, format string, v T) error {
		return render.Record(w, format, v, func(t *render.Table) { fill(t, &v) })
	}
}

// changing completes a command that has a hub change something, and says what is done.
func changing(cmd *cobra.Command, m mode, change func(context.Context, *client.Client, []string) (done string, err error), arguments ...names) *cobra.Command {
	hub := &hubFlags{}
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(arguments...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var done string
		err := withHub(cmd, hub, m, func(ctx context.Context, c *client.Client) (err error) {
			done, err = change(ctx, c, args)
			return err
		})
		if err == nil && done != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), done)
		}
		return err
	}
	return cmd
}
