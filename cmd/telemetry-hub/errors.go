package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// Exit codes; newRoot explains them.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnreachable = 4
	exitRefused     = 5
)

// codedError is an error with an exit code of its own.
type codedError struct {
	error
	code int
}

func (e *codedError) Unwrap() error { return e.error }

// misused is the error of a command line that can't be understood.
func misused(cmd *cobra.Command, err error) error {
	return &codedError{withHint(err, "%s --help shows how to use it", cmd.CommandPath()), exitUsage}
}

func exitCode(err error) int {
	if e, ok := errors.AsType[*codedError](err); ok {
		return e.code
	}
	if _, ok := errors.AsType[*client.UnreachableError](err); ok {
		return exitUnreachable
	}
	e, ok := errors.AsType[*api.Problem](err)
	switch {
	case !ok:
	case e.Status == http.StatusNotFound:
		return exitNotFound
	case e.Status >= 400 && e.Status < 500:
		return exitRefused
	}
	return exitFailure
}

// hintedError is an error whose reader can do something about it.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

func printError(w io.Writer, err error) {
	w = text.NewWriter(w)
	fmt.Fprintf(w, "error: %v\n", err)
	if e, ok := errors.AsType[*hintedError](err); ok {
		fmt.Fprintf(w, "hint: %s\n", e.hint)
	} else if e, ok := errors.AsType[*api.Problem](err); ok {
		if hint := cmp.Or(hints[e.Code], e.Hint); hint != "" {
			fmt.Fprintf(w, "hint: %s\n", hint)
		}
	}
}

// hints say what to do about a problem with the commands that there are, where the API speaks of requests.
var hints = map[string]string{
	"no_device":       "telemetry-hub device list shows the devices there are",
	"device_exists":   "telemetry-hub device rotate gives an existing device a new token",
	"no_user":         "telemetry-hub user list shows the users there are",
	"user_exists":     "telemetry-hub user passwd gives an existing user a new password",
	"no_api_key":      "telemetry-hub apikey list shows the keys there are",
	"no_dead_letter":  "telemetry-hub dead-letters list shows the positions there are",
	"unauthenticated": "the key in --key-file is none of the hub's keys: telemetry-hub apikey add makes one there",
	"bad_parameter":   "the hub may be of another version than this command",
	"no_route":        "the hub may be of another version than this command",
}
