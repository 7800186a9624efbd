package firmwaresim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/device"
)

const (
	sendRate    = 8                // commands a second, of all devices
	orderTime   = 60 * time.Second // for everything to be settled in the end
	patientTime = 30 * time.Second // for all devices to be known in the beginning
)

// orders is one run of VerifyCommands.
type orders struct {
	VerifyOptions
	hub      *childHub
	program  string // this one
	recruits []*childRecruit
	began    time.Time
	report   *OrdersReport

	mu       sync.Mutex
	accepted map[string]order // by id
	doubtful []order          // the hub may have accepted them
	desired  map[string]int64 // of each device
}

// order is a command that somebody wants.
type order struct {
	id, device string
	args       []string
}

// childRecruit is a Recruit in a process of its own.
type childRecruit struct {
	id     string
	config string // file
	log    string // file
	cmd    *exec.Cmd
}

// VerifyCommands runs a hub and devices as child processes, sends commands to the devices, kills hub and devices again and again, and
// then compares what the hub says became of each command with what the devices have noted themselves.
func VerifyCommands(ctx context.Context, o VerifyOptions) (*OrdersReport, error) {
	dir, err := o.begin()
	if err != nil {
		return nil, err
	}
	v := &orders{
		VerifyOptions: o, began: time.Now(), report: &OrdersReport{Seed: o.Seed, Dir: dir, States: map[string]int{}},
		accepted: map[string]order{}, desired: map[string]int64{},
	}
	if v.program, err = os.Executable(); err == nil {
		v.hub, err = newChildHub(o.HubBinary, dir)
	}
	if err == nil {
		err = v.run(ctx)
		v.dismiss()
		v.hub.kill()
	}
	if v.report.Dir, err = o.end(ctx, dir, err == nil && v.report.Agrees(), err); err != nil {
		return nil, err
	}
	return v.report, nil
}

func (v *orders) run(ctx context.Context) error {
	if err := v.hub.start(ctx); err != nil {
		return err
	}
	if err := v.enlist(ctx); err != nil {
		return err
	}
	stop := v.Progress.follow(v.line)
	err := v.rage(ctx)
	if err == nil {
		err = v.calm(ctx)
	}
	stop()
	if err != nil {
		return err
	}
	v.dismiss()
	v.Progress.say("comparing")
	before, err := v.compare(ctx)
	if err != nil || !v.report.Agrees() {
		return err
	}
	if err := v.hub.stop(); err != nil {
		return err
	}
	if err := v.hub.start(ctx); err != nil {
		return err
	}
	after, err := v.hub.orders(ctx)
	if err != nil {
		return err
	}
	v.report.compareRestart(before, after)
	return v.hub.stop()
}

// enlist registers the devices and starts them. Every other one has a buffer in a file; the others forget all when they are killed.
func (v *orders) enlist(ctx context.Context) error {
	credentials, err := v.hub.addDevices(ctx, v.Devices)
	if err != nil {
		return err
	}
	for i, c := range credentials {
		r := &childRecruit{id: c.Device, config: v.hub.file(c.Device + ".json"), log: v.hub.file(c.Device + ".log")}
		config := recruitConfig{
			Hub: "wss://" + v.hub.address, CA: v.hub.file("data/tls/ca.pem"), Device: c.Device, Token: c.Token, Log: r.log,
		}
		if i%2 == 0 {
			config.Buffer = v.hub.file(c.Device + ".buffer")
		}
		b, err := json.Marshal(config)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.config, b, 0o600); err != nil {
			return err
		}
		v.recruits = append(v.recruits, r)
		if err := r.start(v.program); err != nil {
			return err
		}
	}
	return v.await(ctx, patientTime, "the devices do not connect", func() (bool, error) {
		for _, r := range v.recruits {
			if _, err := v.hub.send(ctx, r.id, "nudge", "--wait"); err != nil {
				return false, ctx.Err()
			}
		}
		return true, nil
	})
}

// start runs the device.
func (r *childRecruit) start(program string) error {
	r.cmd = exec.Command(program, RecruitCommand, r.config)
	r.cmd.SysProcAttr = childAttributes()
	r.cmd.Stderr = os.Stderr
	return r.cmd.Start()
}

// RecruitCommand is the argument with which this program is started as a device: it calls Recruit with the one that follows.
const RecruitCommand = "recruit"

// kill ends the device as a power cut would.
func (r *childRecruit) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait() // killed
		r.cmd = nil
	}
}

func (v *orders) dismiss() {
	for _, r := range v.recruits {
		r.kill()
	}
}

// rage sends commands and kills for the duration.
func (v *orders) rage(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	raging, enough := context.WithTimeout(running, v.Duration)
	defer enough()
	g.Go(func() error { return v.tormentHub(running, raging) })
	g.Go(func() error { return v.tormentRecruits(running, raging) })
	for i := range 2 { // so that something is being sent at most moments
		g.Go(func() error {
			rng := rand.New(rand.NewPCG(v.Seed, hashText("send")+uint64(i)))
			for sleep(raging, time.Duration(rng.Int64N(int64(4*time.Second/sendRate)))) {
				v.demand(running, rng)
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

func (v *orders) tormentHub(ctx, raging context.Context) error {
	rng := rand.New(rand.NewPCG(v.Seed, hashText("torment")))
	for sleep(raging, v.KillEvery/2+randomTime(rng, v.KillEvery)) {
		if !v.hub.running() {
			return v.hub.failed("the hub ended by itself: %w", v.hub.err)
		}
		v.hub.kill()
		v.report.HubKills++
		if !sleep(ctx, 50*time.Millisecond+randomTime(rng, time.Second)) {
			return ctx.Err()
		}
		if err := v.hub.start(ctx); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (v *orders) tormentRecruits(ctx, raging context.Context) error {
	rng := rand.New(rand.NewPCG(v.Seed, hashText("torment devices")))
	pause := v.KillEvery / time.Duration(len(v.recruits)) * 2
	for sleep(raging, pause/2+randomTime(rng, pause)) {
		r := v.recruits[rng.IntN(len(v.recruits))]
		r.kill()
		v.report.DeviceKills++
		down := randomTime(rng, time.Second)
		if rng.IntN(3) == 0 {
			down = 2*time.Second + randomTime(rng, 4*time.Second)
		}
		if !sleep(ctx, down) {
			return ctx.Err()
		}
		if err := r.start(v.program); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// demand does one thing that a person might do.
func (v *orders) demand(ctx context.Context, rng *rand.Rand) {
	id := v.recruits[rng.IntN(len(v.recruits))].id
	switch rng.IntN(12) {
	case 0: // the same once more
		if o, ok := v.known(rng); ok {
			v.send(ctx, o)
		}
	case 1: // if it is not too late
		o := newOrder(rng, id)
		v.send(ctx, o)
		_ = v.hub.command(ctx, discard, "command", "cancel", o.id)
	case 2:
		level := rng.Int64N(1000)
		v.mu.Lock()
		defer v.mu.Unlock() // the last one that the hub took counts
		if v.hub.desire(ctx, id, "level", strconv.FormatInt(level, 10)) == nil {
			v.desired[id] = level
		} else {
			delete(v.desired, id) // the hub may have taken it
		}
	default:
		v.send(ctx, newOrder(rng, id))
	}
}

func discard(io.Reader) error { return nil }

// newOrder is some command.
func newOrder(rng *rand.Rand, id string) order {
	var uuid device.CommandID
	for i := range uuid {
		uuid[i] = byte(rng.Uint32())
	}
	o := order{id: uuid.String(), device: id}
	number := strconv.Itoa(rng.IntN(1000))
	ttl := time.Duration(1000+rng.IntN(9000)) * time.Millisecond
	switch rng.IntN(12) {
	case 0:
		o.args = []string{"slow", "ms=" + number}
	case 1:
		o.args, ttl = []string{"slow", "ms=" + strconv.Itoa(7000+rng.IntN(2000))}, time.Second // answers late
	case 2:
		o.args = []string{"fail"}
	case 3:
		o.args = []string{"mute"}
	case 4:
		o.args = []string{"twice"}
	case 5:
		o.args = []string{"nudge"}
	case 6, 7:
		o.args = []string{"aim", "n=" + number}
	default:
		o.args = []string{"act", "n=" + number}
	}
	o.args = append(o.args, "--ttl", ttl.String())
	return o
}

// known is some command that was accepted.
func (v *orders) known(rng *rand.Rand) (order, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	skip := rng.IntN(len(v.accepted) + 1)
	for _, o := range v.accepted {
		if skip--; skip < 0 {
			return o, true
		}
	}
	return order{}, false
}

// send has a command accepted; if the hub is killed meanwhile, nobody knows whether it was.
func (v *orders) send(ctx context.Context, o order) {
	_, err := v.hub.send(ctx, o.device, append(o.args, "--id", o.id)...)
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, again := v.accepted[o.id]; again && err == nil {
		v.report.Repeated++
	}
	if err == nil {
		v.accepted[o.id] = o
		return
	}
	v.doubtful = append(v.doubtful, o)
}

// calm clears doubts by sending once more, and waits until everything is settled.
func (v *orders) calm(ctx context.Context) error {
	v.mu.Lock()
	doubtful := v.doubtful
	v.doubtful = nil
	v.mu.Unlock()
	v.report.Doubtful = len(doubtful)
	for _, o := range doubtful {
		v.send(ctx, o)
	}
	if len(v.doubtful) > 0 {
		return fmt.Errorf("the hub does not take %v any more", v.doubtful[0])
	}
	for _, r := range v.recruits { // those in doubt, too
		if _, known := v.desired[r.id]; !known {
			if err := v.hub.desire(ctx, r.id, "level", "7"); err != nil {
				return err
			}
			v.desired[r.id] = 7
		}
	}
	if err := v.await(ctx, orderTime, "commands are still open", func() (bool, error) {
		var open []hubCommand
		err := v.hub.json(ctx, &open, "command", "list", "--state", "queued", "--state", "sent", "--format", "json")
		return len(open) == 0, err
	}); err != nil {
		return err
	}
	return v.await(ctx, orderTime, "desired values are not in sync", func() (bool, error) {
		for id, level := range v.desired {
			list, err := v.hub.settings(ctx, id)
			if err != nil || len(list) != 1 || list[0].Status != "in_sync" || list[0].Reported != float64(level) {
				return false, err
			}
		}
		return true, nil
	})
}

// await waits for a condition.
func (v *orders) await(ctx context.Context, most time.Duration, complaint string, condition func() (bool, error)) error {
	for deadline := time.Now().Add(most); ; {
		ok, err := condition()
		switch {
		case err != nil:
			return err
		case ok:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%s after %v", complaint, most)
		}
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func (v *orders) line() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return fmt.Sprintf("%5s  %d commands accepted, %d in doubt", time.Since(v.began).Round(time.Second), len(v.accepted), len(v.doubtful))
}

// executionsOf reads what a device has noted.
func executionsOf(path string) (map[string]*execution, error) {
	b, err := os.ReadFile(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	return parseExecutions(string(b))
}
