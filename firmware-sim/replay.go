package firmwaresim

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// ReplayOptions describe a recording to play back as a device.
type ReplayOptions struct {
	Target      Target
	Credentials []Credential
	Device      string // id; its credential is looked up
	File        string // CSV with a header
	Table       TableOptions
	Speed       float64 // recorded seconds per second; 0: as fast as the hub takes it
	Progress    Progress
	Logger      *slog.Logger
}

// ParseSpeed reads 60x, 60 or max; max is 0.
func ParseSpeed(s string) (float64, error) {
	if s == "max" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "x"), 64)
	if err != nil || !(v > 0 && v <= 1e9) {
		return 0, problem("for example 1x, 60x or max", "speed %q is not a multiple of real time", s)
	}
	return v, nil
}

// Replay sends every row of the file at its recorded time, and returns once the hub has acknowledged them all. It bears
// any number of restarts of the hub. What the file holds is checked before anything is sent. The error is not nil unless
// everything was acked.
func Replay(ctx context.Context, o ReplayOptions) (Totals, error) {
	credential, err := credentialOf(o.Credentials, o.Device)
	if err != nil {
		return Totals{}, err
	}
	file, err := os.Open(o.File)
	if err != nil {
		return Totals{}, err
	}
	defer file.Close()
	table, err := ReadTable(file, o.Table)
	if err != nil {
		return Totals{}, fmt.Errorf("%s: %w", o.File, err)
	}
	o.Progress.say("%s: %d rows", text.Printable(o.File), table.Rows)
	for _, line := range table.About {
		o.Progress.say("  %s", line)
	}
	for _, note := range table.Notes {
		o.Progress.say("  %s", note)
	}
	p, err := newPlayer(o.Target, credential, table, o.Logger)
	if err != nil {
		return Totals{}, err
	}
	stop := o.Progress.follow(p.line)
	err = p.play(ctx, o.Speed)
	stop()
	totals := p.totals()
	if err == nil {
		err = totals.settled()
	}
	if closed := p.client.Close(); err == nil {
		err = closed
	}
	return totals, err
}

// maxInFlight is how many frames a player has unacknowledged at most, so that its buffer never overflows: a recording
// can wait, unlike a sensor.
const maxInFlight = 256

// replayBacklog is how fast, in frames a second, a player sends after a break: it has no live data to let pass.
const replayBacklog = 10_000

// player is the device that a table is played on.
type player struct {
	table  *Table
	client *client.Client
	live   bool          // stamp rows with the moment they are sent instead of the recorded one
	room   chan struct{} // has a token when something was acknowledged
}

func newPlayer(target Target, credential Credential, table *Table, logger *slog.Logger) (*player, error) {
	p := &player{table: table, room: make(chan struct{}, 1)}
	var err error
	p.client, err = client.New(client.Config{
		URL:         target.URL,
		Token:       credential.Token,
		TLS:         target.TLS,
		Schema:      table.Schema,
		Firmware:    "firmware-sim",
		Model:       "replay",
		BufferBytes: maxInFlight * device.MaxMessage,
		BacklogRate: replayBacklog,
		Logger:      logger.With("device", credential.Device),
		Trace: &client.Trace{Settled: func(device.Ranges) {
			select {
			case p.room <- struct{}{}:
			default:
			}
		}},
	})
	return p, err
}

// play sends the table at speed, see ReplayOptions.Speed, and waits for the last acknowledgement.
func (p *player) play(ctx context.Context, speed float64) error {
	connected, disconnect := context.WithCancel(ctx)
	defer disconnect()
	g, connected := errgroup.WithContext(connected)
	g.Go(func() error {
		if err := p.client.Run(connected); connected.Err() == nil {
			return fmt.Errorf("device: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		defer disconnect()
		if err := p.sendAll(connected, speed); err != nil {
			return err
		}
		return p.client.Drain(connected)
	})
	err := g.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return err
}

func (p *player) sendAll(ctx context.Context, speed float64) error {
	samples := 1
	if speed == 0 {
		samples = samplesPerFrame(len(p.table.Schema.Channels), p.table.texts)
	}
	var (
		began = time.Now()
		first int64
		rows  int
	)
	return p.table.frames(samples, func(d *device.Data) error {
		if rows == 0 {
			first = d.Times[0]
		}
		rows += len(d.Times)
		if speed > 0 {
			recorded := float64(d.Times[0]-first) * float64(time.Microsecond)
			due := began.Add(time.Duration(recorded / speed))
			// A step back in the recording is due at once.
			if !sleep(ctx, time.Until(due)) {
				return ctx.Err()
			}
			if p.live {
				d.Times[0] = due.UnixMicro()
			}
		}
		for p.client.Stats().Unacked >= maxInFlight {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-p.room:
			}
		}
		_, err := p.client.Send(d)
		return err
	})
}

func (p *player) totals() Totals {
	var t Totals
	t.add(p.client.Stats())
	return t
}

func (p *player) line() string {
	t := p.totals()
	switch {
	case t.Connected > 0:
		return t.String()
	case t.LastError != "":
		return t.String() + "  (" + t.LastError + ")"
	default:
		return t.String() + "  (connecting)"
	}
}
