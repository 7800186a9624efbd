package store

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/journal"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// CommittedKind is what a journal entry tells those who follow the journal.
type CommittedKind uint8

const (
	CommittedFrame    CommittedKind = iota + 1 // Schema, Hash, Data and Timing are set
	CommittedReject                            // Seq, Code and Text are set
	CommittedLost                              // First, Last and Reason are set
	CommittedBoot                              // Boot is set: the device told its time since that boot
	CommittedRemoval                           // the device was removed, and with it what was known of it
	CommittedClock                             // Base is set: the hub's clock was set, and what follows is by the new one; no Device
	CommittedOverleap                          // what came before was dropped from the journal before it was read; no Device
)

// Committed is one journal entry that has become durable. What it points to is valid until the function returns that it was
// handed to, but Schema, which lives on and is not to be changed.
type Committed struct {
	Kind     CommittedKind
	Position uint64
	Received time.Time // when the commit it came with began to be filled
	Device   string

	Schema *device.Schema
	Hash   device.Hash // of Schema
	Data   *device.Data
	Timing tail.Timing // how the times in Data become hub time

	Seq  uint64 // 0: not readable
	Code device.RejectCode
	Text string

	First, Last uint64
	Reason      device.LostReason

	Boot uint64

	Base int64 // see wallclock.Clock
}

// followers are those who wait for the journal to grow.
type followers struct {
	mu   sync.Mutex
	news map[chan struct{}]struct{} // each of capacity 1
}

func (fs *followers) add(news chan struct{}) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.news == nil {
		fs.news = map[chan struct{}]struct{}{}
	}
	fs.news[news] = struct{}{}
}

func (fs *followers) remove(news chan struct{}) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	delete(fs.news, news)
}

func (fs *followers) wake() {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for news := range fs.news {
		signal(news)
	}
}

// Follow calls f for every entry of interest that is committed from now on, in journal order and from one goroutine, until
// ctx ends; then it returns nil. It is a tail without a cursor: committing never waits for f.
func (s *Store) Follow(ctx context.Context, f func(*Committed)) error {
	fl := follower{store: s, tell: f, sources: map[uint64]*tail.Source{}}
	news := make(chan struct{}, 1)
	s.followers.add(news)
	defer s.followers.remove(news)
	r := s.journal.Reader(s.journal.Next())
	defer func() { r.Close() }()
	for ctx.Err() == nil {
		block, err := r.Next()
		var trimmed *journal.TrimmedError
		switch {
		case err == nil:
			fl.block(&block)
		case errors.As(err, &trimmed):
			fl.overleap(trimmed.First)
			r.Close()
			r = s.journal.Reader(trimmed.First)
		case errors.Is(err, io.EOF):
			select {
			case <-news:
			case <-ctx.Done():
			}
		default: // the disk's: the tails that matter raise the alarm
			select {
			case <-time.After(retryTail):
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// maxFollowed bounds the sources a follower remembers; above it, it asks for them again.
const maxFollowed = 1 << 15

// follower decodes entries for one who follows.
type follower struct {
	store   *Store
	tell    func(*Committed)
	sources map[uint64]*tail.Source
	entry   tail.Entry
	data    device.Data
	told    Committed
}

func (fl *follower) block(b *journal.Block) {
	if b.Skipped.First != 0 {
		fl.overleap(b.First)
	}
	for position, bytes := range b.Entries() {
		fl.told = Committed{Position: position, Received: b.Time}
		if tail.Parse(bytes, &fl.entry) == nil && fl.decode() {
			fl.tell(&fl.told)
		}
	}
}

// decode fills told from entry and reports whether it is worth telling. What can't be decoded, the history tail logs.
func (fl *follower) decode() bool {
	e, c := &fl.entry, &fl.told
	switch e.Kind {
	case tail.KindFrame:
		src := fl.source(e.Number)
		if src == nil || device.ParseData(e.Message, src.Schema, &fl.data) != nil {
			return false
		}
		c.Kind, c.Device, c.Schema, c.Hash, c.Data = CommittedFrame, src.Device, src.Schema, src.Hash, &fl.data
		c.Timing = e.Timing
		return true
	case tail.KindReject:
		c.Kind, c.Seq, c.Code, c.Text = CommittedReject, e.Seq, e.Code, e.Text
	case tail.KindLost:
		c.Kind, c.First, c.Last, c.Reason = CommittedLost, e.First, e.Last, e.Reason
	case tail.KindBoot:
		c.Kind, c.Boot = CommittedBoot, e.Boot
	case tail.KindRemoval:
		c.Kind = CommittedRemoval
	case tail.KindClock:
		c.Kind, c.Base = CommittedClock, e.Move.Base
	default:
		return false
	}
	c.Device = e.Device
	return true
}

func (fl *follower) source(number uint64) *tail.Source {
	src := fl.sources[number]
	if src == nil {
		src = fl.store.sources.Get(number)
		if len(fl.sources) >= maxFollowed {
			clear(fl.sources)
		}
		if src != nil {
			fl.sources[number] = src
		}
	}
	return src
}

func (fl *follower) overleap(next uint64) {
	fl.told = Committed{Kind: CommittedOverleap, Position: next}
	fl.tell(&fl.told)
}
