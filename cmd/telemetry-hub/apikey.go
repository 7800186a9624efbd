package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
	"github.com/telemetry-hub/telemetry-hub/store"
)

func newAPIKey() *cobra.Command {
	return group(&cobra.Command{
		Use:   "apikey",
		Short: "Manage the keys of scripts",
		Long: `A script proves itself with an API key: "Authorization: Bearer KEY" for the REST
API and server-sent events, the passcode for STOMP. A key has a role, like a
user, and works until it is removed. The hub keeps only its SHA-256, so it is
shown once, when it is made.`,
	}, newAPIKeyAdd(), newAPIKeyList(), newAPIKeyRemove())
}

func newAPIKeyAdd() *cobra.Command {
	var role string
	var dir *string
	cmd := &cobra.Command{
		Use:   "add NAME --role R",
		Short: "Make an API key",
		Long:  `add makes an API key and prints it, only this once.`,
		Example: `  telemetry-hub apikey add reports --role viewer
  curl --cacert data/tls/ca.pem -H "Authorization: Bearer $KEY" \
    https://localhost:8443/api/v1/devices`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := parseRole(cmd, role)
			if err != nil {
				return err
			}
			return withHub(cmd, *dir, orCreate, func(ctx context.Context, c *control.Client) error {
				made, err := c.AddAPIKey(ctx, control.NewAPIKey{Name: args[0], Role: r})
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "The API key %s, shown only this once:\n", made.Name)
				_, err = fmt.Fprintln(cmd.OutOrStdout(), made.Key)
				return err
			})
		},
	}
	roleFlag(cmd, &role)
	dir = dataDirFlag(cmd)
	return cmd
}

func newAPIKeyList() *cobra.Command {
	var asJSON bool
	var dir *string
	cmd := &cobra.Command{
		Use:     "list [--json]",
		Short:   "List the API keys and when they were last used",
		Example: "  telemetry-hub apikey list",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				keys, err := c.APIKeys(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), keys)
				}
				return printAPIKeys(cmd.OutOrStdout(), keys, time.Now())
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	dir = dataDirFlag(cmd)
	return cmd
}

func printAPIKeys(w io.Writer, keys []store.APIKey, now time.Time) error {
	if len(keys) == 0 {
		_, err := fmt.Fprintln(w, "There are no API keys yet: telemetry-hub apikey add NAME --role viewer makes one.")
		return err
	}
	t := newTable(w, "KEY", "ROLE", "CREATED", "LAST USED")
	for _, k := range keys {
		t.row(k.Name, k.Role, stamp(k.Created), ago(k.LastUsed, now))
	}
	return t.flush()
}

func newAPIKeyRemove() *cobra.Command {
	var dir *string
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Make an API key invalid",
		Example: "  telemetry-hub apikey remove reports",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := withHub(cmd, *dir, existing, func(ctx context.Context, c *control.Client) error { return c.RemoveAPIKey(ctx, args[0]) })
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s is removed\n", args[0])
			}
			return err
		},
	}
	dir = dataDirFlag(cmd)
	cmd.ValidArgsFunction = completeNames(dir, func(ctx context.Context, c *control.Client) (names []string, err error) {
		keys, err := c.APIKeys(ctx)
		for _, k := range keys {
			names = append(names, k.Name)
		}
		return names, err
	})
	return cmd
}
