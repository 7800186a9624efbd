package dashboard

import (
	"context"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// takeCommand takes a command for a device, which somebody with the role operator sends to /app/devices/{id}/commands. An
// error ends the connection, as STOMP demands of a SEND that fails.
func (d *Dashboard) takeCommand(_ context.Context, _ store.Identity, _ string, _ *stomp.Frame) error {
	return wrong("this hub takes no commands")
}
