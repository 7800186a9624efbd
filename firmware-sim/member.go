package firmwaresim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// member is one device of a fleet.
type member struct {
	id      string
	profile Profile
	config  client.Config // as of every boot
	tasks   sync.WaitGroup

	mu       sync.Mutex // guards the rest
	client   *client.Client
	retired  Totals    // of the clients before a reboot
	booted   time.Time // where a boot clock counts from
	generate generator
	frame    *device.Data
	controls controls
	down     bool          // about to reboot: it does not measure
	leave    func()        // ends the connection; nil: there is none
	interval time.Duration // 0: the fleet's
	timer    *time.Timer   // at its own interval
	ended    bool          // nothing more is to be measured
}

// memberConfig is what one device needs.
type memberConfig struct {
	target     Target
	credential Credential
	profile    Profile
	seed       uint64
	booted     time.Time
	logger     *slog.Logger
}

func newMember(c memberConfig) (*member, error) {
	rng := rand.New(rand.NewPCG(c.seed, hashText(c.credential.Device)))
	m := &member{
		id:      c.credential.Device,
		profile: c.profile,
		frame:   newFrame(c.profile.Schema, 1),
	}
	m.controls = begin()
	m.generate = c.profile.start(rng, &m.controls)
	m.config = client.Config{
		URL:       c.target.URL,
		Token:     c.credential.Token,
		TLS:       c.target.TLS,
		Schema:    c.profile.Schema,
		Firmware:  "firmware-sim",
		Model:     c.profile.Name,
		Clock:     c.profile.Clock,
		OnCommand: m.obey,
		OnSet:     m.set,
		Faults:    &client.Faults{Answers: answers},
		Logger:    c.logger.With("device", c.credential.Device),
	}
	return m, m.boot(c.booted)
}

// boot starts the device.
func (m *member) boot(at time.Time) (err error) {
	config := m.config
	if m.profile.Clock == device.ClockBoot {
		config.Boot = max(m.frame.Boot+1, uint64(at.Unix())) // grows from one start to the next, as a boot counter does
		config.Now = func() time.Time { return time.UnixMicro(0).Add(time.Since(at)) }
		m.frame.Clock, m.frame.Boot = device.ClockBoot, config.Boot
	}
	m.booted = at
	m.client, err = client.New(config)
	return err
}

// measure makes the frame of the moment at, unless the device has an interval of its own.
func (m *member) measure(at time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.interval > 0 {
		return nil
	}
	return m.makeFrame(at)
}

// makeFrame makes the frame of the moment at and hands it to the client. The caller holds m.mu.
func (m *member) makeFrame(at time.Time) error {
	if m.down {
		return nil
	}
	if m.profile.Clock == device.ClockBoot {
		at = time.UnixMicro(0).Add(at.Sub(m.booted))
	}
	m.generate(at, m.frame)
	if _, err := m.client.Send(m.frame); err != nil {
		return fmt.Errorf("device %s: %w", m.id, err)
	}
	return nil
}

// live keeps the device connected until ctx ends, with absences if its profile has them or it is told to reboot. Once home is
// closed it does not wander off any more.
func (m *member) live(ctx context.Context, home <-chan struct{}) error {
	for {
		gone, err := m.stay(ctx, home)
		switch {
		case !gone:
			return err // the client gave up by itself
		case ctx.Err() != nil:
			return nil
		}
		m.mu.Lock()
		rebooting := m.down
		m.mu.Unlock()
		if rebooting {
			if !sleep(ctx, rebootTime) {
				return nil
			}
			if err := m.reboot(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-home:
		case <-time.After(m.profile.Offline):
		}
	}
}

// stay keeps the device connected until it leaves; gone says that it has left, and was not turned away.
func (m *member) stay(ctx context.Context, home <-chan struct{}) (gone bool, err error) {
	inReach, leave := context.WithCancel(ctx)
	defer leave()
	m.mu.Lock()
	m.leave = leave
	c := m.client
	m.mu.Unlock()
	if m.profile.Offline > 0 {
		drive := time.AfterFunc(m.profile.Online, func() {
			select {
			case <-home:
			default:
				leave()
			}
		})
		defer drive.Stop()
	}
	err = c.Run(inReach)
	return inReach.Err() != nil, err
}

// stats are the books of the device since it booted.
func (m *member) stats() client.Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client.Stats()
}

// addTo adds the books of the device since it was made.
func (m *member) addTo(t *Totals) {
	t.add(m.stats())
	m.mu.Lock()
	defer m.mu.Unlock()
	t.Created += m.retired.Created
	t.Sent += m.retired.Sent
	t.Acked += m.retired.Acked
	t.Rejected += m.retired.Rejected
	t.Lost += m.retired.Lost + m.retired.Unacked // it had them in memory only
}

// drain waits until nothing is unacked.
func (m *member) drain(ctx context.Context) error {
	m.mu.Lock()
	c := m.client
	m.mu.Unlock()
	return c.Drain(ctx)
}

// close releases the device's buffer.
func (m *member) close() error {
	m.endPace()
	m.tasks.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.client.Close()
}

// hashText is FNV-1a: it gives each device its own world from one seed.
func hashText(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
