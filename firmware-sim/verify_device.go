package firmwaresim

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/client"
)

// verifiedDevice is a device of a verification. It follows its script, misbehaves as the script says, and keeps its own books
// from what the client does, not from what the client counts.
type verifiedDevice struct {
	id         string
	script     *script
	config     client.Config
	restarting time.Duration // mean time between restarts of the device; 0: it is never restarted

	// The client is replaced by a restart of the device.
	clientMu sync.Mutex
	client   *client.Client
	restarts int
	retired  uint64        // connections of clients before
	settling chan struct{} // closed when the client will not be replaced any more
	frame    *device.Data
	message  []byte

	// Guarded by mu, which is taken with the client's lock held.
	mu     sync.Mutex
	books  deviceBooks
	firsts device.SeqSet // frames transmitted
	cuts   device.SeqSet // frames behind which the connection was cut
	calm   bool          // no more cuts
}

const (
	smallBuffer  = 2 << 10 // bytes: an outage of a few seconds overflows it
	restartEvery = 10 * time.Second
)

// newVerifiedDevice makes the device with the given number. Devices take turns at being of one kind: with a buffer on disk and
// restarted now and then, with a buffer that soon overflows, with a boot clock, and two plain ones.
func newVerifiedDevice(number int, target Target, credential Credential, seed uint64, bufferPath string, now time.Time) *verifiedDevice {
	s := &verifiedDevice{id: credential.Device, settling: make(chan struct{})}
	clock := device.ClockWall
	s.config = client.Config{
		URL: target.URL, TLS: target.TLS, Token: credential.Token,
		Firmware: "firmware-sim", Model: "verify", Logger: slog.New(slog.DiscardHandler),
	}
	switch number % 5 {
	case 0:
		s.config.BufferPath, s.restarting = bufferPath, restartEvery
	case 1:
		s.config.BufferBytes = smallBuffer
	case 2:
		clock = device.ClockBoot
	}
	s.script = newScript(seed, s.id, clock, now)
	s.config.Schema = s.script.schema
	s.config.Clock = clock
	if clock == device.ClockBoot {
		s.config.Boot = 1
		s.config.Now = func() time.Time { return time.UnixMicro(time.Now().UnixMicro() - s.script.origin) }
	}
	s.config.Faults = &client.Faults{Duplicate: s.script.duplicate, Cut: s.cut}
	s.config.Trace = &client.Trace{Sent: s.sent, Settled: s.settled, Lost: s.lost}
	s.frame = newFrame(s.script.schema, scriptSamples)
	s.frame.Clock, s.frame.Boot = clock, s.config.Boot
	for i := range s.frame.Columns {
		s.frame.Columns[i].Present = make([]bool, scriptSamples)
	}
	return s
}

func (s *verifiedDevice) sent(seq uint64, _ int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.sent++
	s.firsts.Add(seq)
}

// cut cuts the connection behind a frame only once: the frame has to arrive some day.
func (s *verifiedDevice) cut(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.calm && s.script.cut(seq) && s.cuts.Add(seq)
}

// calmDown ends the cuts: a device that is cut off soon after it came back stays away longer each time.
func (s *verifiedDevice) calmDown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calm = true
}

func (s *verifiedDevice) settled(r device.Ranges) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range r {
		for seq := r.First; seq <= min(r.Last, s.books.created); seq++ {
			if !s.books.lost.Contains(seq) {
				s.books.acked.Add(seq)
			}
		}
	}
}

func (s *verifiedDevice) lost(first, last uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for seq := first; seq <= last; seq++ {
		// A declaration may span frames that had been acknowledged long before.
		if !s.books.acked.Contains(seq) {
			s.books.lost.Add(seq)
		}
	}
}

// open starts the device.
func (s *verifiedDevice) open() (err error) {
	s.clientMu.Lock()
	defer s.clientMu.Unlock()
	s.client, err = client.New(s.config)
	return err
}

// restart ends the device and starts it again with what its buffer kept.
func (s *verifiedDevice) restart() error {
	s.clientMu.Lock()
	defer s.clientMu.Unlock()
	if err := s.client.Close(); err != nil {
		return err
	}
	next, err := client.New(s.config)
	if err != nil {
		return err
	}
	s.restarts++
	s.retired += s.client.Stats().Connects
	s.client = next
	return nil
}

// live keeps the device connected until ctx ends, with restarts while measuring lives if the device is one for that.
func (s *verifiedDevice) live(ctx, measuring context.Context, rng *rand.Rand) error {
	for s.restarting > 0 && measuring.Err() == nil {
		life := s.restarting/2 + randomTime(rng, s.restarting)
		running, die := context.WithTimeout(ctx, life)
		detach := context.AfterFunc(measuring, die)
		err := s.client.Run(running)
		gone := running.Err() != nil
		detach()
		die()
		switch {
		case ctx.Err() != nil:
			return nil
		case !gone:
			return err
		}
		if err := s.restart(); err != nil {
			return err
		}
	}
	close(s.settling)
	if err := s.client.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

// randomTime is a time from 0 to below d.
func randomTime(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Int64N(int64(d)))
}

// measure sends the script's next frame.
func (s *verifiedDevice) measure(time.Time) error {
	s.clientMu.Lock()
	defer s.clientMu.Unlock()
	var failed error
	_, err := s.client.SendEncoded(func(dst []byte, seq uint64) []byte {
		s.created(seq)
		s.script.fill(s.frame, seq)
		s.message, failed = device.AppendData(s.message[:0], s.frame, s.script.schema)
		if failed == nil && s.script.corrupt(seq) {
			s.message = s.script.spoil(s.message, seq)
		}
		return append(dst, s.message...)
	})
	if failed != nil {
		return failed
	}
	return err
}

func (s *verifiedDevice) created(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.books.created = max(s.books.created, seq)
}

// drain waits until the hub has settled all frames, or ctx ends.
func (s *verifiedDevice) drain(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.settling:
		return s.client.Drain(ctx)
	}
}

// close ends the device and returns its books.
func (s *verifiedDevice) close() (*deviceBooks, error) {
	s.clientMu.Lock()
	defer s.clientMu.Unlock()
	s.books.connects = s.retired + s.client.Stats().Connects
	s.books.firsts = s.firsts.Count()
	return &s.books, s.client.Close()
}

// totals adds the device to t.
func (s *verifiedDevice) totals(t *Totals) {
	s.clientMu.Lock()
	defer s.clientMu.Unlock()
	stats := s.client.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Devices++
	if stats.Connected {
		t.Connected++
	}
	t.Created += s.books.created
	t.Sent += s.books.sent
	t.Lost += s.books.lost.Count()
	t.Unacked += stats.Unacked
}
