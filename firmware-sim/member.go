package firmwaresim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// member is one device of a fleet.
type member struct {
	id      string
	profile Profile
	client  *client.Client
	booted  time.Time // where a boot clock counts from

	// Owned by the goroutine that makes the frames.
	generate generator
	frame    *device.Data
}

// memberConfig is what one device needs.
type memberConfig struct {
	target     Target
	credential Credential
	profile    Profile
	seed       uint64
	booted     time.Time
	trace      *client.Trace
	logger     *slog.Logger
}

func newMember(c memberConfig) (*member, error) {
	rng := rand.New(rand.NewPCG(c.seed, hashText(c.credential.Device)))
	m := &member{
		id:       c.credential.Device,
		profile:  c.profile,
		booted:   c.booted,
		generate: c.profile.start(rng),
		frame:    newFrame(c.profile.Schema, 1),
	}
	config := client.Config{
		URL:      c.target.URL,
		Token:    c.credential.Token,
		TLS:      c.target.TLS,
		Schema:   c.profile.Schema,
		Firmware: "firmware-sim",
		Model:    c.profile.Name,
		Clock:    c.profile.Clock,
		Trace:    c.trace,
		Logger:   c.logger.With("device", c.credential.Device),
	}
	if c.profile.Clock == device.ClockBoot {
		config.Boot = uint64(c.booted.Unix()) // grows from one start to the next, as a boot counter does
		config.Now = func() time.Time { return time.UnixMicro(0).Add(time.Since(c.booted)) }
		m.frame.Clock, m.frame.Boot = device.ClockBoot, config.Boot
	}
	var err error
	m.client, err = client.New(config)
	return m, err
}

// measure makes the frame of the moment at and hands it to the client.
func (m *member) measure(at time.Time) error {
	if m.profile.Clock == device.ClockBoot {
		at = time.UnixMicro(0).Add(at.Sub(m.booted))
	}
	m.generate(at, m.frame)
	if _, err := m.client.Send(m.frame); err != nil {
		return fmt.Errorf("device %s: %w", m.id, err)
	}
	return nil
}

// live keeps the device connected until ctx ends, with absences if its profile has them. Once home is closed it stays.
func (m *member) live(ctx context.Context, home <-chan struct{}) error {
	if m.profile.Offline == 0 {
		return m.client.Run(ctx)
	}
	for {
		inReach, leave := context.WithCancel(ctx)
		drive := time.AfterFunc(m.profile.Online, func() {
			select {
			case <-home:
			default:
				leave()
			}
		})
		err := m.client.Run(inReach)
		drive.Stop()
		gone := inReach.Err() != nil
		leave()
		switch {
		case !gone:
			return err // the client gave up by itself
		case ctx.Err() != nil:
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-home:
		case <-time.After(m.profile.Offline):
		}
	}
}

// hashText is FNV-1a: it gives each device its own world from one seed.
func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
