package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
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
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "add NAME --role R",
		Short: "Make an API key",
		Long:  `add makes an API key and prints it, only this once.`,
		Example: `  telemetry-hub apikey add reports --role viewer
  curl --cacert data/tls/ca.pem -H "Authorization: Bearer $KEY" \
    https://localhost:8443/api/v1/devices`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needRole(cmd, role); err != nil {
				return err
			}
			return withHub(cmd, &hub, orCreate, func(ctx context.Context, c *client.Client) error {
				made, err := c.AddAPIKey(ctx, args[0], accounts.Role(role))
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
	hub.add(cmd)
	return cmd
}

func newAPIKeyList() *cobra.Command {
	return printing(&cobra.Command{
		Use:     "list [--format F]",
		Short:   "List the API keys and when they were last used",
		Example: "  telemetry-hub apikey list",
		Args:    exactArgs(),
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, _ []string) ([]api.APIKey, error) { return c.APIKeys(ctx) },
		inColumns(keyColumns, "There are no API keys yet: telemetry-hub apikey add NAME --role viewer makes one."))
}

var keyColumns = []render.Column[api.APIKey]{
	{Name: "key", Cell: func(k *api.APIKey) any { return k.Name }},
	{Name: "role", Cell: func(k *api.APIKey) any { return k.Role }},
	{Name: "created", Cell: func(k *api.APIKey) any { return k.Created.Time() }},
	{Name: "last used", Cell: func(k *api.APIKey) any { return render.Age(k.LastUsed.Time()) }},
}

func newAPIKeyRemove() *cobra.Command {
	return changing(&cobra.Command{
		Use:     "remove NAME",
		Short:   "Make an API key invalid",
		Example: "  telemetry-hub apikey remove reports",
		Args:    exactArgs("NAME"),
	}, existing, func(ctx context.Context, c *client.Client, args []string) (string, error) {
		return args[0] + " is removed", c.RemoveAPIKey(ctx, args[0])
	}, keyNames)
}
