package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// refusedCommands is the body of a MESSAGE about a command that was not accepted, which is sent only to who sent it. It looks like
// an update of /user/queue/commands.
type refusedCommands struct {
	Now      live.Millis      `json:"now"`
	Kind     string           `json:"kind"` // live.KindUpdate
	Commands []refusedCommand `json:"commands"`
	Settings []struct{}       `json:"settings"` // none
}

// refusedCommand is a command that was not accepted.
type refusedCommand struct {
	ID     device.CommandID `json:"id"`
	Device string           `json:"device"`
	Name   string           `json:"name"`
	State  string           `json:"state"` // refused
	Text   string           `json:"text"`
	Hint   string           `json:"hint,omitempty"`
}

// takeCommand takes a command for a device, which somebody with the role operator sends. When it returns nil the command is on disk,
// or the client has been told why it is not accepted. An error ends the connection, as STOMP demands of a SEND that fails.
func (c *liveConn) takeCommand(by accounts.Identity, deviceID string, f *stomp.Frame) error {
	in, err := parseCommand(f.Body)
	if err != nil {
		return wrong("the body must be a command like %s: %v", `{"id": UUID, "name": "blink", "args": {}, "ttl_ms": 30000}`, err)
	}
	refused := refusedCommand{ID: in.ID, Device: deviceID, Name: in.Name, State: "refused"}
	caller := callerBy(by, c.request, "STOMP")
	if wait := c.d.api.PaceCommands(caller); wait > 0 {
		refused.Text, refused.Hint = "too many commands", "try again in "+wait.Round(100*time.Millisecond).String()
		return c.refuseCommand(&refused)
	}
	_, err = c.d.api.Send(&in, deviceID, caller)
	if err == nil {
		return nil
	}
	refused.Text = err.Error()
	if e, ok := errors.AsType[*commands.Error](err); ok {
		refused.Hint = e.Hint
	} else if !errors.Is(err, devices.ErrNoDevice) {
		c.d.log.Error("a command was not accepted", "device", deviceID, "error", err)
	}
	return c.refuseCommand(&refused)
}

var errNoCommandID = errors.New("it needs an id, a UUID")

// parseCommand reads the body of a SEND.
func parseCommand(body []byte) (in api.NewCommand, err error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return in, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return in, errors.New("there is more behind it")
	}
	if in.ID == (device.CommandID{}) {
		return in, errNoCommandID
	}
	return in, nil
}

// refuseCommand tells the client's subscriptions to /user/queue/commands. Without any it ends the connection: nobody must take a
// command for sent that is not.
func (c *liveConn) refuseCommand(r *refusedCommand) error {
	body, err := json.Marshal(refusedCommands{Now: api.Millis(c.d.now()), Kind: live.KindUpdate, Commands: []refusedCommand{*r}, Settings: []struct{}{}})
	if err != nil {
		return err
	}
	frames := c.onQueue(body)
	if len(frames) == 0 {
		return wrong("%s; who subscribes to %s is told so there", r.Text, live.QueueDestination)
	}
	for _, f := range frames {
		c.say(f)
	}
	return nil
}

// onQueue returns a MESSAGE with the body for each subscription to /user/queue/commands.
func (c *liveConn) onQueue(body []byte) (frames []*stomp.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.subs {
		if s.destination != live.QueueDestination {
			continue
		}
		c.messages++
		id := strconv.FormatUint(c.messages, 10)
		f := &stomp.Frame{Command: stomp.Message, Body: body, Headers: stomp.Headers{
			{Name: "subscription", Value: s.id},
			{Name: "message-id", Value: id},
			{Name: "destination", Value: s.destination},
			{Name: "content-type", Value: "application/json"},
		}}
		if at := s.position; at.Epoch != "" { // nothing of the feed was missed by it
			f.Headers = append(f.Headers, stomp.Header{Name: "epoch", Value: at.Epoch},
				stomp.Header{Name: "offset", Value: strconv.FormatUint(at.Offset, 10)})
		}
		if s.sent(c.messages) {
			f.Headers = append(f.Headers, stomp.Header{Name: "ack", Value: id})
		}
		frames = append(frames, f)
	}
	return frames
}
