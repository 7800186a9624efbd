package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
	"github.com/telemetry-hub/telemetry-hub/store"
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
	cmd.Flags().StringVar(role, "role", "", "viewer, operator or admin")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(
		[]string{string(store.RoleViewer), string(store.RoleOperator), string(store.RoleAdmin)}, cobra.ShellCompDirectiveNoFileComp))
}

// parseRole reads --role.
func parseRole(cmd *cobra.Command, role string) (store.Role, error) {
	if role == "" {
		return "", misused(cmd, fmt.Errorf("--role is missing: viewer, operator or admin"))
	}
	r, err := store.ParseRole(role)
	if err != nil {
		return "", misused(cmd, err)
	}
	return r, nil
}

func newUserAdd() *cobra.Command {
	var role, file string
	var dir *string
	cmd := &cobra.Command{
		Use:   "add NAME --role R [--password-file FILE]",
		Short: "Make a user",
		Long: `add makes a user. It asks for the password on the terminal or, if there is none,
reads it from the standard input. The name is taken in lower case.`,
		Example: `  telemetry-hub user add kim --role operator
  telemetry-hub user add kim --role operator --password-file kim.txt`,
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := parseRole(cmd, role)
			if err != nil {
				return err
			}
			password, err := readPassword(cmd, args[0], file)
			if err != nil {
				return err
			}
			err = withHub(cmd, *dir, orCreate, func(ctx context.Context, c *control.Client) error {
				return c.AddUser(ctx, control.NewUser{Name: args[0], Password: password, Role: r})
			})
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s is added as %s\n", store.UserName(args[0]), r)
			}
			return err
		},
	}
	roleFlag(cmd, &role)
	passwordFlag(cmd, &file)
	dir = dataDirFlag(cmd)
	return cmd
}

func newUserList() *cobra.Command {
	var asJSON bool
	var dir *string
	cmd := &cobra.Command{
		Use:     "list [--json]",
		Short:   "List the users",
		Example: "  telemetry-hub user list",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				users, err := c.Users(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), users)
				}
				return printUsers(cmd.OutOrStdout(), users)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array")
	dir = dataDirFlag(cmd)
	return cmd
}

func printUsers(w io.Writer, users []store.User) error {
	if len(users) == 0 {
		_, err := fmt.Fprintln(w, "There are no users yet: telemetry-hub user add NAME --role admin makes one.")
		return err
	}
	t := newTable(w, "USER", "ROLE", "CREATED")
	for _, u := range users {
		t.row(u.Name, u.Role, stamp(u.Created))
	}
	return t.flush()
}

func newUserPasswd() *cobra.Command {
	var file string
	var dir *string
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
			err = withHub(cmd, *dir, existing, func(ctx context.Context, c *control.Client) error {
				return c.SetPassword(ctx, args[0], password)
			})
			if err == nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s has a new password\n", store.UserName(args[0]))
			}
			return err
		},
	}
	passwordFlag(cmd, &file)
	dir = dataDirFlag(cmd)
	cmd.ValidArgsFunction = completeNames(dir, userNames)
	return cmd
}

func newUserRemove() *cobra.Command {
	var dir *string
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user",
		Long: `remove removes a user and logs the user out everywhere. Without users, the hub
prints a setup link at its next start.`,
		Example: "  telemetry-hub user remove kim",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var left []store.User
			err := withHub(cmd, *dir, existing, func(ctx context.Context, c *control.Client) (err error) {
				if err := c.RemoveUser(ctx, args[0]); err != nil {
					return err
				}
				left, err = c.Users(ctx)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is removed\n", store.UserName(args[0]))
			if !hasAdmin(left) {
				fmt.Fprintln(cmd.ErrOrStderr(), "there is no admin now: telemetry-hub user add NAME --role admin makes one")
			}
			return nil
		},
	}
	dir = dataDirFlag(cmd)
	cmd.ValidArgsFunction = completeNames(dir, userNames)
	return cmd
}

func hasAdmin(users []store.User) bool {
	for _, u := range users {
		if u.Role == store.RoleAdmin {
			return true
		}
	}
	return false
}

func userNames(ctx context.Context, c *control.Client) (names []string, err error) {
	users, err := c.Users(ctx)
	for _, u := range users {
		names = append(names, u.Name)
	}
	return names, err
}
