package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

func newUser() *cobra.Command {
	return group(&cobra.Command{
		Use:   "user",
		Short: "Manage who may log in to the dashboard",
		Long: `A user has one of three roles: a viewer sees everything, an operator also sends
commands, an admin also manages devices, users and API keys. The hub keeps only
an argon2id hash of each password.`,
	}, newUserAdd(), newUserList(), newUserPasswd(), newUserRemove())
}

// roleFlag adds --role, which has no default: nobody should be an admin by an oversight.
func roleFlag(cmd *cobra.Command, role *string) {
	choiceFlag(cmd, role, "role", "R", string(accounts.RoleViewer), string(accounts.RoleOperator), string(accounts.RoleAdmin))
}

// needRole returns an error if --role was not given.
func needRole(cmd *cobra.Command, role string) error {
	if role == "" {
		return misused(cmd, errors.New("--role is missing: viewer, operator or admin"))
	}
	return nil
}

func newUserAdd() *cobra.Command {
	var role, file string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "add NAME --role R [--password-file FILE]",
		Short: "Make a user",
		Long: `add makes a user. It asks for the password on the terminal or, if there is none,
reads it from the standard input. The name is taken in lower case.`,
		Example: `  telemetry-hub user add kim --role operator
  telemetry-hub user add kim --role operator --password-file kim.txt`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := needRole(cmd, role); err != nil {
				return err
			}
			password, err := readPassword(cmd, args[0], file)
			if err != nil {
				return err
			}
			err = withHub(cmd, &hub, orCreate, func(ctx context.Context, c *client.Client) error {
				return c.AddUser(ctx, args[0], password, accounts.Role(role))
			})
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s is added as %s\n", accounts.UserName(args[0]), role)
			}
			return err
		},
	}
	roleFlag(cmd, &role)
	passwordFlag(cmd, &file)
	hub.add(cmd)
	return cmd
}

func newUserList() *cobra.Command {
	return printing(&cobra.Command{
		Use:     "list [--format F]",
		Short:   "List the users",
		Example: "  telemetry-hub user list",
		Args:    exactArgs(),
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, _ []string) ([]api.User, error) { return c.Users(ctx) },
		inColumns([]render.Column[api.User]{
			{Name: "user", Cell: func(u *api.User) any { return u.Name }},
			{Name: "role", Cell: func(u *api.User) any { return u.Role }},
			{Name: "created", Cell: func(u *api.User) any { return u.Created.Time() }},
		}, "There are no users yet: telemetry-hub user add NAME --role admin makes one."))
}

func newUserPasswd() *cobra.Command {
	var file string
	var hub hubFlags
	cmd := &cobra.Command{
		Use:   "passwd NAME [--password-file FILE]",
		Short: "Give a user a new password",
		Long: `passwd sets a user's password and logs the user out everywhere. It asks for the
password on the terminal or, if there is none, reads it from the standard input.`,
		Example: `  telemetry-hub user passwd kim`,
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := readPassword(cmd, args[0], file)
			if err != nil {
				return err
			}
			err = withHub(cmd, &hub, existing, func(ctx context.Context, c *client.Client) error {
				return c.SetPassword(ctx, args[0], password)
			})
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s has a new password\n", accounts.UserName(args[0]))
			}
			return err
		},
	}
	passwordFlag(cmd, &file)
	hub.add(cmd)
	cmd.ValidArgsFunction = hub.complete(userNames)
	return cmd
}

func newUserRemove() *cobra.Command {
	return changing(&cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user",
		Long: `remove removes a user and logs the user out everywhere. Without users, the hub
prints a setup link at its next start.`,
		Example: "  telemetry-hub user remove kim",
		Args:    exactArgs("NAME"),
	}, existing, func(ctx context.Context, c *client.Client, args []string) (string, error) {
		if err := c.RemoveUser(ctx, args[0]); err != nil {
			return "", err
		}
		done := accounts.UserName(args[0]) + " is removed"
		if left, err := c.Users(ctx); err == nil && !slices.ContainsFunc(left, func(u api.User) bool { return u.Role == accounts.RoleAdmin }) {
			done += "\nthere is no admin now: telemetry-hub user add NAME --role admin makes one"
		}
		return done, nil
	}, userNames)
}
