package firmwaresim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	verifyRate = 5 // frames per second and device

	// settleTime is how long the devices get, after the last restart, to have everything acknowledged: several back-offs
	// that have grown to 30 s, and the backlog behind them.
	settleTime = 5 * time.Minute
)

// VerifyOptions describe a verification.
type VerifyOptions struct {
	HubBinary string
	Devices   int
	Duration  time.Duration // of the streaming; closing the books comes on top
	KillEvery time.Duration // mean time between two kills of the hub
	Seed      uint64        // decides what is sent and when the hub is killed
	Influxd   string        // program of InfluxDB 1.8: killed as well, and compared in the end; empty: none
	Keep      string        // directory to keep the hub's files in; empty: a temporary one, kept if something disagrees
	Progress  Progress
}

// verification is one run of Verify.
type verification struct {
	VerifyOptions
	hub     *childHub
	influx  *childInflux // nil: none
	devices []*verifiedDevice
	began   time.Time
	report  *Report
}

// Verify runs a hub as a child process, streams to it from devices that misbehave, kills it again and again, and then
// accounts for every frame: each is stored with exactly the values sent, or rejected because it was sent broken, or lost
// because the device overwrote it and said so. The report tells; the error is about a verification that could not be made.
func Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	dir, err := o.begin()
	if err != nil {
		return nil, err
	}
	v := &verification{VerifyOptions: o, began: time.Now(), report: &Report{Seed: o.Seed, findings: findings{Dir: dir}}}
	if v.hub, err = newChildHub(o.HubBinary, dir); err == nil && o.Influxd != "" {
		if v.influx, err = newChildInflux(o.Influxd, filepath.Join(dir, "influx")); err == nil {
			v.hub.export = v.influx.url
		}
	}
	if err == nil {
		err = v.run(ctx)
		v.hub.kill()
	}
	if v.influx != nil {
		v.influx.kill()
	}
	if v.report.Dir, err = o.end(ctx, dir, err == nil && v.report.Agrees(), err); err != nil {
		return nil, err
	}
	return v.report, nil
}

// begin checks the options and makes the directory of the hub's files.
func (o *VerifyOptions) begin() (dir string, err error) {
	if o.Devices < 1 || o.Duration <= 0 || o.KillEvery <= 0 {
		return "", errors.New("the number of devices, the duration and the time between kills must be above 0")
	}
	if o.Keep == "" {
		return os.MkdirTemp("", "telemetry-verify-")
	}
	if entries, err := os.ReadDir(o.Keep); err == nil && len(entries) > 0 {
		return "", problem("name a directory that does not exist yet", "%s is not empty", o.Keep)
	}
	return o.Keep, os.MkdirAll(o.Keep, 0o700)
}

// end removes the directory unless it is to be kept or somebody has to look into it. It returns the directory that is left, ""
// for none, and why there is no report: err, or that the verification was stopped.
func (o *VerifyOptions) end(ctx context.Context, dir string, agrees bool, err error) (left string, _ error) {
	left = dir
	if o.Keep == "" && (ctx.Err() != nil || agrees) {
		left = ""
		err = errors.Join(err, os.RemoveAll(dir))
	}
	switch {
	case ctx.Err() != nil:
		return left, fmt.Errorf("stopped: %w", context.Cause(ctx))
	case err != nil:
		return left, fmt.Errorf("%w\nits files are in %s", err, dir)
	}
	return left, nil
}

func (v *verification) run(ctx context.Context) error {
	if v.influx != nil {
		if err := v.influx.start(ctx); err != nil {
			return err
		}
	}
	if err := v.hub.start(ctx); err != nil {
		return err
	}
	if err := v.register(ctx); err != nil {
		_, closed := v.closeDevices()
		return errors.Join(err, closed)
	}
	stop := v.Progress.follow(v.line)
	err := v.stream(ctx)
	stop()
	books, closed := v.closeDevices()
	if err = errors.Join(err, closed); err != nil {
		return err
	}
	v.Progress.say("reading everything back")
	if err := v.compare(ctx, books); err != nil {
		return err
	}
	if !v.report.Agrees() {
		return nil
	}
	before := *v.report
	v.Progress.say("and once more after a clean restart")
	if err := v.hub.stop(); err != nil {
		return err
	}
	if err := v.hub.start(ctx); err != nil {
		return err
	}
	if err := v.compare(ctx, books); err != nil {
		return err
	}
	v.report.compareTotals(&before)
	return v.hub.stop()
}

// register registers the devices and builds them.
func (v *verification) register(ctx context.Context) error {
	target, credentials, err := v.hub.addDevices(ctx, v.Devices)
	if err != nil {
		return err
	}
	for i, c := range credentials {
		buffer := filepath.Join(v.hub.dir, "buffer-"+c.Device)
		s := newVerifiedDevice(i, target, c, v.Seed, buffer, v.began)
		if err := s.open(); err != nil {
			return fmt.Errorf("device %s: %w", s.id, err)
		}
		v.devices = append(v.devices, s)
	}
	return nil
}

func (v *verification) closeDevices() ([]*deviceBooks, error) {
	var (
		books []*deviceBooks
		errs  []error
	)
	for _, s := range v.devices {
		b, err := s.close()
		books, errs = append(books, b), append(errs, err)
		v.report.Cuts += s.cuts.Count()
		v.report.Restarts += s.restarts
	}
	return books, errors.Join(errs...)
}

// compare reads everything back and fills the report.
func (v *verification) compare(ctx context.Context, books []*deviceBooks) error {
	entered, err := v.hub.books(ctx)
	if err != nil {
		return err
	}
	status, err := v.hub.status(ctx)
	if err != nil {
		return err
	}
	v.report.reset()
	exported := newInfluxBooks(scriptSchema())
	for i, s := range v.devices {
		l := newLedger(s.script, books[i])
		row := func(r reading) {
			l.row(r)
			exported.add(s.id, r)
		}
		if err := v.hub.readings(ctx, s.id, row); err != nil {
			return err
		}
		v.report.add(s.id, l, entered[s.id])
	}
	v.report.checkDeadLetters(status.DeadLetters)
	if v.influx == nil {
		return nil
	}
	if err := v.awaitExport(ctx); err != nil {
		return err
	}
	v.report.Points, err = exported.compare(ctx, v.influx, v.report.complain)
	return err
}

func (v *verification) line() string {
	var t Totals
	for _, s := range v.devices {
		s.totals(&t)
	}
	return fmt.Sprintf("%5s  %d of %d connected  created %d, sent %d, lost %d, unacked %d",
		time.Since(v.began).Round(time.Second), t.Connected, t.Devices, t.Created, t.Sent, t.Lost, t.Unacked)
}
