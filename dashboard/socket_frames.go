package dashboard

import (
	"errors"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// frame takes one frame, in the read loop, and answers with RECEIPT or ERROR.
func (c *liveConn) frame(f *stomp.Frame) {
	receipt := f.Headers.Value("receipt")
	connecting := f.Command == stomp.Connect || f.Command == stomp.Stomp
	var err error
	switch connected := c.isConnected(); {
	case connecting && connected:
		err = wrong("a second CONNECT")
	case connecting:
		err = c.connect(f)
	case !connected:
		err = wrong("the first frame must be CONNECT")
	default:
		err = c.apply(f)
	}
	if err != nil {
		c.refuse(err, receipt)
		return
	}
	if receipt != "" && !connecting {
		c.say(&stomp.Frame{Command: stomp.Receipt, Headers: stomp.Headers{{Name: "receipt-id", Value: receipt}}})
	}
	if f.Command == stomp.Disconnect {
		c.finish(device.CloseNormal, "")
	}
}

// apply does what a frame of a connected client asks for.
func (c *liveConn) apply(f *stomp.Frame) error {
	switch f.Command {
	case stomp.Subscribe:
		return c.subscribe(f)
	case stomp.Unsubscribe:
		return c.unsubscribe(f)
	case stomp.Send, stomp.Ack, stomp.Nack:
		if name, ok := f.Headers.Get("transaction"); ok {
			return c.postpone(name, f)
		}
		return c.act(f)
	case stomp.Begin, stomp.Commit, stomp.Abort:
		return c.transaction(f)
	case stomp.Disconnect:
		return nil
	default:
		return wrong("%s is for the server to send", f.Command)
	}
}

// act does what may be part of a transaction.
func (c *liveConn) act(f *stomp.Frame) error {
	if f.Command == stomp.Send {
		return c.send(f)
	}
	return c.acknowledge(f)
}

// connect answers CONNECT. Any host will do: there is one.
func (c *liveConn) connect(f *stomp.Frame) error {
	if !stomp.Accepts(f.Headers.Value("accept-version"), "1.2") {
		return wrong("supported protocol version is 1.2")
	}
	var theirs stomp.HeartBeat
	if value, ok := f.Headers.Get("heart-beat"); ok {
		var err error
		if theirs, err = stomp.ParseHeartBeat(value); err != nil {
			return wrong("%s", err)
		}
	}
	if err := c.login(f); err != nil {
		return err
	}
	ours := stomp.HeartBeat{Sends: c.d.livePace.beat, Wants: c.d.livePace.beat}
	c.mu.Lock()
	c.connected = true
	c.beat = stomp.Interval(ours.Sends, theirs.Wants)
	if every := stomp.Interval(theirs.Sends, ours.Wants); every > 0 {
		c.silence = max(3*every, c.d.livePace.silence)
	}
	name := c.identity.Name
	c.mu.Unlock()
	c.d.log.Info("viewer connected", "user", name, "address", c.request.RemoteAddr)
	c.say(&stomp.Frame{Command: stomp.Connected, Headers: stomp.Headers{
		{Name: "version", Value: "1.2"},
		{Name: "heart-beat", Value: ours.String()},
		{Name: "server", Value: "telemetry-hub/" + c.d.version},
	}})
	return nil
}

// login takes an API key as passcode, from who did not show anything in the handshake. What is in login is not looked at.
func (c *liveConn) login(f *stomp.Frame) error {
	c.mu.Lock()
	known := c.identity != nil
	c.mu.Unlock()
	if known {
		return nil
	}
	id, err := c.d.identifyAs(accounts.ViaKey, f.Headers.Value("passcode"))
	if err != nil || !id.Role.Allows(accounts.RoleViewer) {
		c.d.limited.Warn("login failed", "address", c.request.RemoteAddr, "path", c.request.URL.Path)
		return denied("login failed: send an API key as passcode")
	}
	if err := c.place.settle(accountOf(id)); err != nil {
		return &refusal{device.CloseTryLater, err.Error()}
	}
	c.known(id)
	return nil
}

// send takes SEND.
func (c *liveConn) send(f *stomp.Frame) error {
	to, ok := f.Headers.Get("destination")
	if !ok || len(to) > maxDestination {
		return wrong("SEND needs a destination of at most %d bytes", maxDestination)
	}
	id, ok := strings.CutPrefix(to, "/app/devices/")
	id, ok2 := strings.CutSuffix(id, "/commands")
	if !ok || !ok2 || id == "" || strings.Contains(id, "/") {
		return wrong("nothing can be sent to this destination; commands go to /app/devices/{id}/commands")
	}
	who, err := c.present()
	if err != nil {
		return err
	}
	if !who.Role.Allows(accounts.RoleOperator) {
		return denied("commands need the role operator")
	}
	return c.takeCommand(who, id, f)
}

// present returns who it is, with the role of this moment.
func (c *liveConn) present() (accounts.Identity, error) {
	c.mu.Lock()
	id := *c.identity
	c.mu.Unlock()
	id, err := c.d.store.Accounts.Recheck(id)
	if errors.Is(err, accounts.ErrUnauthenticated) {
		err = denied(sessionExpired)
	}
	return id, err
}
