package api

import (
	"context"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
)

// rollouts are those of this run of the hub. The commands themselves are on disk.
type rollouts struct {
	tasks sync.WaitGroup

	mu   sync.Mutex
	list []*rollout // oldest first
}

// rollout sends a command to one device after the other.
type rollout struct {
	// static
	command       NewCommand // without an id
	by            Caller
	interval      time.Duration
	stopOnFailure bool
	stop          context.CancelFunc // ends the sending
	over          chan struct{}      // closed when all is settled

	// guarded by mu
	mu       sync.Mutex
	state    Rollout
	outcomes []Outcome // by device
	pending  map[device.CommandID]int
}

// commandID is the id of the command to a device: always the same, so that a rollout that is sent again sends nothing twice.
func (r *rollout) commandID(id string) (c device.CommandID) {
	sum := sha256.Sum256([]byte(r.state.ID + " " + id))
	copy(c[:], sum[:])
	c[6], c[8] = c[6]&0x0f|0x80, c[8]&0x3f|0x80 // RFC 9562 §5.8
	return c
}

// targets returns the devices that are meant, by id.
func (a *API) targets(in *NewRollout) (ids []string, err error) {
	if in.All == (len(in.Devices)+len(in.Labels) > 0) {
		return nil, &Problem{Status: http.StatusBadRequest, Code: "bad_request", Detail: "it is not said which devices", Hint: "send devices, labels or both, or all"}
	}
	if len(in.Devices) > 0 {
		for _, id := range in.Devices {
			d, err := a.store.Devices.Get(id)
			if err != nil {
				return nil, err
			}
			if hasLabels(&d, in.Labels) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		ids = slices.Compact(ids)
	} else {
		for _, d := range a.store.Devices.All() {
			if hasLabels(&d, in.Labels) {
				ids = append(ids, d.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil, &Problem{Status: http.StatusNotFound, Code: "no_device", Detail: "no device is like that", Hint: "GET /api/v1/devices lists the devices there are"}
	}
	return ids, nil
}

func hasLabels(d *devices.Device, labels map[string]string) bool {
	for name, value := range labels {
		if d.Labels[name] != value {
			return false
		}
	}
	return true
}

// start begins a rollout, or returns the one that was begun with this id and command. Which devices are meant may have changed since.
func (a *API) start(in *NewRollout, ids []string, by Caller) (*rollout, error) {
	r := &rollout{
		command: NewCommand{Name: in.Name, Args: in.Args, Text: in.Text, TTL: in.TTL}, by: by,
		interval: time.Duration(float64(time.Second) / in.Rate), stopOnFailure: in.StopOnFailure, over: make(chan struct{}),
		state:    Rollout{ID: in.ID.String(), Name: in.Name, By: by.By, Started: Millis(a.now()), State: "running", Devices: len(ids)},
		outcomes: make([]Outcome, len(ids)), pending: map[device.CommandID]int{},
	}
	for i, id := range ids {
		r.outcomes[i].Device = id
	}
	all := &a.rollouts
	all.mu.Lock()
	defer all.mu.Unlock()
	running := 0
	for _, other := range all.list {
		if other.state.ID == r.state.ID {
			if !other.command.same(&r.command) {
				return nil, &Problem{Status: http.StatusConflict, Code: "command_conflict", Detail: "the id " + r.state.ID + " names another rollout", Hint: "every rollout needs an id of its own"}
			}
			return other, nil
		}
		if !other.ended() {
			running++
		}
	}
	if running >= maxRollouts || a.ending.Err() != nil {
		return nil, &Problem{Status: http.StatusServiceUnavailable, Code: "busy", Detail: "too many rollouts run at this moment", Hint: "wait for one of them to end, or stop it"}
	}
	for len(all.list)-running >= keptRollouts {
		oldest := slices.IndexFunc(all.list, (*rollout).ended)
		all.list = slices.Delete(all.list, oldest, oldest+1)
	}
	all.list = append(all.list, r)
	ctx, stop := context.WithCancel(a.ending)
	r.stop = stop
	all.tasks.Go(func() {
		defer stop()
		a.roll(ctx, r)
	})
	return r, nil
}

// same reports whether two requests are for the same command.
func (n *NewCommand) same(other *NewCommand) bool {
	return n.Name == other.Name && n.TTL == other.TTL && maps.Equal(n.Args, other.Args) && maps.Equal(n.Text, other.Text)
}

func (r *rollout) ended() bool {
	select {
	case <-r.over:
		return true
	default:
		return false
	}
}

// roll sends to one device after the other, and waits for the results. When it is stopped it takes back what is queued.
func (a *API) roll(ctx context.Context, r *rollout) {
	defer close(r.over)
	news := make(chan struct{}, 1)
	defer a.store.Commands.Watch(func(c commands.Command) {
		if r.changed(&c) {
			notify.Signal(news)
		}
	})()
	pace := time.NewTicker(max(r.interval, 1))
	defer pace.Stop()
	for i := range r.outcomes {
		if i > 0 {
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			break
		}
		command := r.command
		command.ID = r.commandID(r.outcomes[i].Device)
		r.sending(i, command.ID)
		c, err := a.Send(&command, r.outcomes[i].Device, r.by)
		r.sent(i, &c, err)
	}
	if ctx.Err() != nil {
		r.takeBack(a)
	}
	for r.left() {
		select {
		case <-news:
		case <-ctx.Done():
			r.takeBack(a)
			ctx = a.ending // what is with the devices is settled by them, or by its deadline
		}
		if a.ending.Err() != nil {
			return
		}
	}
}

// takeBack cancels what is still queued.
func (r *rollout) takeBack(a *API) {
	if a.ending.Err() != nil {
		return // commands survive the end of the hub
	}
	r.mu.Lock()
	r.state.State = "stopping"
	open := make([]device.CommandID, 0, len(r.pending))
	for id := range r.pending {
		open = append(open, id)
	}
	r.mu.Unlock()
	for _, id := range open {
		_, _ = a.store.Commands.Cancel(id, r.by.By, r.by.From) // it may be with its device
	}
}

func (r *rollout) sending(i int, id device.CommandID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Open++
	r.pending[id] = i
}

// sent notes that a command was accepted, if it was. It may have been settled since.
func (r *rollout) sent(i int, c *commands.Command, err error) {
	if err == nil {
		r.changed(c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Sent++ // when its outcome is there
	if err == nil {
		return
	}
	delete(r.pending, r.commandID(r.outcomes[i].Device))
	r.outcomes[i].Error = err.Error()
	r.settle(false)
}

// changed notes what became of a command, and says whether that was one of this rollout.
func (r *rollout) changed(c *commands.Command) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, ok := r.pending[c.ID]
	if !ok {
		return false
	}
	status := live.CommandStatusOf(c)
	r.outcomes[i].Command = &status
	if !c.State.Open() {
		delete(r.pending, c.ID)
		r.settle(c.State == commands.Succeeded)
	}
	return true
}

// settle counts a command that is settled. mu is held.
func (r *rollout) settle(succeeded bool) {
	r.state.Open--
	if succeeded {
		r.state.Succeeded++
		return
	}
	r.state.Failed++
	if r.stopOnFailure {
		r.stop()
	}
}

func (r *rollout) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Open > 0
}

func (r *rollout) status() Rollout {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state
	if r.ended() {
		s.State = "over"
	}
	return s
}
