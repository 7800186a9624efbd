package firmwaresim

import (
	"bytes"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"
)

//go:embed data/occupancy/*.csv data/occupancy/README.md
var recordings embed.FS

const (
	officeRecording = "data/occupancy/occupancy-3.csv" // the longest, about a week
	demoSpeed       = 60                               // a row a minute becomes a row a second
)

// DemoDevice is a device of Demo; who calls Demo registers it first.
type DemoDevice struct {
	ID    string
	Kind  string // for the registry
	About string // one line for people

	profile string        // empty: plays the office recording
	hangs   time.Duration // after which it stays connected and measures nothing any more; 0: never
}

// DemoDevices returns the devices that Demo plays.
func DemoDevices() []DemoDevice {
	return []DemoDevice{
		{ID: "office", Kind: "climate", About: "real readings of an office, recorded in 2015, played at 60x as if they were of today"},
		{ID: "room", Kind: "climate", profile: "office", About: "simulated: a room with a thermostat that follows its setpoint"},
		{ID: "machine", Kind: "vibration", profile: "vibration", About: "simulated: a burst of 64 vibration samples every 5 s"},
		{ID: "meter", Kind: "meter", profile: "meter", About: "simulated: a power meter with a 64-bit energy counter"},
		{ID: "van", Kind: "tracker", profile: "tracker", About: "simulated: a tracker that leaves for 30 s and returns with a backlog"},
		{ID: "field", Kind: "soil", profile: "soil", About: "simulated: a soil probe that knows no wall clock"},
		{ID: "freezer", Kind: "climate", profile: "office", hangs: 15 * time.Second, About: "simulated: hangs after 15 s, connected but silent"},
	}
}

// Demo plays the DemoDevices against the hub at url (wss://HOST:PORT) until ctx ends. credentials holds one credential
// for each of them.
func Demo(ctx context.Context, url string, tlsConfig *tls.Config, credentials []Credential, logger *slog.Logger) error {
	target := Target{URL: url, TLS: tlsConfig}
	g, ctx := errgroup.WithContext(ctx)
	for _, d := range DemoDevices() {
		g.Go(func() error {
			credential, err := credentialOf(credentials, d.ID)
			switch {
			case err != nil:
				return err
			case d.profile == "":
				return demoOffice(ctx, target, credential, logger)
			default:
				return demoProfile(ctx, target, credential, d, logger)
			}
		})
	}
	return g.Wait()
}

// demoProfile lets one device of a profile measure until it hangs or ctx ends.
func demoProfile(ctx context.Context, target Target, credential Credential, d DemoDevice, logger *slog.Logger) error {
	profiles, err := profilesNamed(d.profile)
	if err != nil {
		return err
	}
	f, err := newFleet(fleetConfig{
		target: target, credentials: []Credential{credential}, profiles: profiles, seed: 1, logger: logger,
	})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return f.run(ctx) })
	g.Go(func() error {
		if d.hangs > 0 {
			working, cancel := context.WithTimeout(ctx, d.hangs)
			defer cancel()
			return f.measure(working)
		}
		return f.measure(ctx)
	})
	return errors.Join(g.Wait(), f.close())
}

// demoOffice plays the recording at demoSpeed, over and over, until ctx ends.
func demoOffice(ctx context.Context, target Target, credential Credential, logger *slog.Logger) error {
	recording, err := recordings.ReadFile(officeRecording)
	if err != nil {
		return err
	}
	table, err := ReadTable(bytes.NewReader(recording), TableOptions{})
	if err != nil {
		return fmt.Errorf("%s: %w", officeRecording, err)
	}
	p, err := newPlayer(target, credential, table, logger)
	if err != nil {
		return err
	}
	p.live = true
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.client.Run(ctx) })
	g.Go(func() error {
		for ctx.Err() == nil {
			if err := p.sendAll(ctx, demoSpeed); err != nil && ctx.Err() == nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(g.Wait(), p.client.Close())
}
