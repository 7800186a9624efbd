// Package names says what devices, their kinds and labels, and API keys may be called.
package names

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// ErrBad is wrapped by the errors about a name.
var ErrBad = errors.New("bad name")

var pattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Check returns an error that wraps ErrBad unless the name can be used; what says whose name it is.
func Check(what, name string) error {
	if len(name) > device.MaxName || !pattern.MatchString(name) {
		return fmt.Errorf("%w: %s %q: use 1 to %d letters, digits, dots, dashes and underscores, beginning with a letter or digit",
			ErrBad, what, name, device.MaxName)
	}
	return nil
}
