package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

const maxPasswordFile = 4 << 10 // bytes

func passwordFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "password-file", "", "`file` with the password in its first line")
	_ = cmd.MarkFlagFilename("password-file")
}

// readPassword reads the new password of a user: from the file or, without one, from the terminal, where it is typed twice,
// or from a standard input that is no terminal. There is no flag for it: everybody on the machine can read flags.
func readPassword(cmd *cobra.Command, user, file string) (string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer f.Close()
		return firstLine(f)
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return firstLine(cmd.InOrStdin())
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s for %s: ", prompt, user)
		b, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		return string(b), err
	}
	password, err := ask("New password")
	if err != nil {
		return "", err
	}
	again, err := ask("Once more")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", errors.New("the passwords are not the same")
	}
	return password, nil
}

func firstLine(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxPasswordFile))
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if b, err = text.UTF8(b); err != nil {
		return "", fmt.Errorf("the password: %w", err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" {
		return "", withHint(errors.New("there is no password"), "type it on a terminal, send it to the standard input, or name a file with --password-file")
	}
	return line, nil
}
