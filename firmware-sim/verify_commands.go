package firmwaresim

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	sendRate           = 8                // commands a second, of all devices
	settleCommandsTime = 60 * time.Second // for everything to be settled in the end
	patientTime        = 30 * time.Second // for all devices to be known in the beginning
)

// commandVerification is one run of VerifyCommands.
type commandVerification struct {
	VerifyOptions
	hub     *childHub
	program string // this one
	devices []*deviceProcess
	began   time.Time
	report  *CommandsReport

	mu       sync.Mutex
	accepted map[string]sentCommand // by id
	doubtful []sentCommand          // the hub may have accepted them
	desired  map[string]int64       // of each device
}

// deviceProcess is a RunCommandDevice in a process of its own.
type deviceProcess struct {
	id     string
	config string // file
	log    string // file
	cmd    *exec.Cmd
}

// VerifyCommands runs a hub and devices as child processes, sends commands to the devices, kills hub and devices again and again, and
// then compares what the hub says became of each command with what the devices have noted themselves.
func VerifyCommands(ctx context.Context, o VerifyOptions) (*CommandsReport, error) {
	dir, err := o.begin()
	if err != nil {
		return nil, err
	}
	v := &commandVerification{
		VerifyOptions: o, began: time.Now(), report: &CommandsReport{Seed: o.Seed, findings: findings{Dir: dir}, States: map[string]int{}},
		accepted: map[string]sentCommand{}, desired: map[string]int64{},
	}
	if v.program, err = os.Executable(); err == nil {
		v.hub, err = newChildHub(o.HubBinary, dir)
	}
	if err == nil {
		err = v.run(ctx)
		v.stopDevices()
		v.hub.kill()
	}
	if v.report.Dir, err = o.end(ctx, dir, err == nil && v.report.Agrees(), err); err != nil {
		return nil, err
	}
	return v.report, nil
}

func (v *commandVerification) run(ctx context.Context) error {
	if err := v.hub.start(ctx); err != nil {
		return err
	}
	if err := v.register(ctx); err != nil {
		return err
	}
	stop := v.Progress.follow(v.line)
	err := v.load(ctx)
	if err == nil {
		err = v.settle(ctx)
	}
	stop()
	if err != nil {
		return err
	}
	v.stopDevices()
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
	after, err := v.hub.commands(ctx)
	if err != nil {
		return err
	}
	v.report.compareRestart(before, after)
	return v.hub.stop()
}

// register registers the devices and starts them. Every other one has a buffer in a file; the others forget all when they are killed.
func (v *commandVerification) register(ctx context.Context) error {
	_, credentials, err := v.hub.addDevices(ctx, v.Devices)
	if err != nil {
		return err
	}
	for i, c := range credentials {
		r := &deviceProcess{id: c.Device, config: v.hub.file(c.Device + ".json"), log: v.hub.file(c.Device + ".log")}
		config := commandDeviceConfig{
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
		v.devices = append(v.devices, r)
		if err := r.start(v.program); err != nil {
			return err
		}
	}
	return v.await(ctx, patientTime, "the devices do not connect", func() (bool, error) {
		for _, r := range v.devices {
			if _, err := v.hub.send(ctx, r.id, "nudge", "--wait"); err != nil {
				return false, ctx.Err()
			}
		}
		return true, nil
	})
}

// start runs the device.
func (r *deviceProcess) start(program string) error {
	r.cmd = exec.Command(program, CommandDevice, r.config)
	r.cmd.SysProcAttr = childAttributes()
	r.cmd.Stderr = os.Stderr
	return r.cmd.Start()
}

// CommandDevice is the argument with which this program is started as a device: it calls RunCommandDevice with the one that follows.
const CommandDevice = "command-device"

// kill ends the device as a power cut would.
func (r *deviceProcess) kill() {
	if r.cmd != nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait() // killed
		r.cmd = nil
	}
}

func (v *commandVerification) stopDevices() {
	for _, r := range v.devices {
		r.kill()
	}
}

// load sends commands and kills for the duration.
func (v *commandVerification) load(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	loading, enough := context.WithTimeout(running, v.Duration)
	defer enough()
	g.Go(func() error { return v.killHub(running, loading) })
	g.Go(func() error { return v.killDevices(running, loading) })
	for i := range 2 { // so that something is being sent at most moments
		g.Go(func() error {
			rng := rand.New(rand.NewPCG(v.Seed, hashText("send")+uint64(i)))
			for sleep(loading, time.Duration(rng.Int64N(int64(4*time.Second/sendRate)))) {
				v.act(running, rng)
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

func (v *commandVerification) killHub(ctx, loading context.Context) error {
	rng := rand.New(rand.NewPCG(v.Seed, hashText("torment")))
	for sleep(loading, v.KillEvery/2+randomTime(rng, v.KillEvery)) {
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

func (v *commandVerification) killDevices(ctx, loading context.Context) error {
	rng := rand.New(rand.NewPCG(v.Seed, hashText("torment devices")))
	pause := v.KillEvery / time.Duration(len(v.devices)) * 2
	for sleep(loading, pause/2+randomTime(rng, pause)) {
		r := v.devices[rng.IntN(len(v.devices))]
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

// settle clears doubts by sending once more, and waits until everything is settled.
func (v *commandVerification) settle(ctx context.Context) error {
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
	for _, r := range v.devices { // those in doubt, too
		if _, known := v.desired[r.id]; !known {
			if err := v.hub.desire(ctx, r.id, "level", "7"); err != nil {
				return err
			}
			v.desired[r.id] = 7
		}
	}
	if err := v.await(ctx, settleCommandsTime, "commands are still open", func() (bool, error) {
		var open []hubCommand
		err := v.hub.json(ctx, &open, "command", "list", "--state", "queued", "--state", "sent", "--format", "json")
		return len(open) == 0, err
	}); err != nil {
		return err
	}
	return v.await(ctx, settleCommandsTime, "desired values are not in sync", func() (bool, error) {
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
func (v *commandVerification) await(ctx context.Context, most time.Duration, complaint string, condition func() (bool, error)) error {
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

func (v *commandVerification) line() string {
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
