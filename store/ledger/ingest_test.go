package ledger_test

import (
	"errors"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

func TestNothingIsReceivedBeforeItIsOnDisk(t *testing.T) {
	s := open(t, store.Options{})
	c := connect(t, s, "a", 1)
	c.Send(1, 2)
	// A second connection sends the same frames before the first one's are committed: they are duplicates, and they are
	// no more on disk than the originals.
	second := connect(t, s, "a", 1)
	second.Send(1, 2)
	for _, x := range []*storetest.Connection{c, second} {
		if got := x.Received(10); len(got) > 0 {
			t.Errorf("received %v before a commit", got)
		}
		var settled ledger.Settled
		if x.Take(&settled); len(settled.Acks) > 0 {
			t.Errorf("acked %v before a commit", settled.Acks)
		}
	}
	if got := s.Ledger.Books("a"); got.Frames != 0 || got.Duplicates != 0 {
		t.Errorf("books %+v before a commit", got)
	}
	defer storetest.Run(t, s)()
	c.Await(1, 2)
	second.Await(1, 2)
	if got := s.Ledger.Books("a"); got.Frames != 2 || got.Duplicates != 2 {
		t.Errorf("books %+v", got)
	}
}

func TestStreamsAreSeparate(t *testing.T) {
	h := start(t, store.Options{})
	first, second := connect(t, h, "a", 1), connect(t, h, "a", 2)
	first.Send(1, 2)
	second.Send(1, 3)
	first.Await(1, 2)
	second.Await(1, 3)
	if got := h.Ledger.Books("a"); got.Frames != 4 || got.Duplicates != 0 || got.Holes != 1 || got.Streams != 2 {
		t.Errorf("books %+v", got)
	}
}

func TestTooSparse(t *testing.T) {
	h := start(t, store.Options{})
	c := connect(t, h, "a", 1)
	c.Resume(2e9)
	for i := range uint64(device.MaxSparseRanges) {
		c.Send(1 + 2*i)
	}
	message, d := data(1 + 2*device.MaxSparseRanges)
	if err := c.Frame(t.Context(), message, d, tail.Timing{}); !errors.Is(err, ledger.ErrTooSparse) {
		t.Errorf("frame: %v, want ErrTooSparse", err)
	}
	far := &device.Lost{First: 1e9, Last: 1e9}
	if err := c.Lost(t.Context(), far); !errors.Is(err, ledger.ErrTooSparse) {
		t.Errorf("lost: %v, want ErrTooSparse", err)
	}
	c.Send(2) // closes a hole, so there is room again
	c.Send(1 + 2*device.MaxSparseRanges)
	c.Await(2, 1+2*device.MaxSparseRanges)
}

func TestFutureReadingsAreNotTheNewest(t *testing.T) {
	now := epoch.Add(100 * time.Second)
	h := start(t, store.Options{Now: func() time.Time { return now }})
	c := connect(t, h, "a", 1)
	c.Send(50)
	c.Send(5000)
	c.Await(50, 5000)
	if got, want := h.Ledger.Books("a").LastData, epoch.Add(50*time.Second); !got.Equal(want) {
		t.Errorf("last data %v, want %v", got, want)
	}
	c.Send(101) // a little ahead: as of its receipt
	c.Await(101)
	if got := h.Ledger.Books("a").LastData; !got.Equal(now) {
		t.Errorf("last data %v, want %v", got, now)
	}
}

func TestBootOffsetsAreRemembered(t *testing.T) {
	h := open(t, store.Options{})
	stop := storetest.Run(t, h)
	defer stop()
	c := connect(t, h, "a", 1)
	if _, ok := c.Offset(3); ok {
		t.Error("an offset nobody measured")
	}
	if err := c.Boot(t.Context(), 3, -17, h.Clock().Base()); err != nil {
		t.Fatal(err)
	}
	c.Send(1)
	c.Await(1)
	for _, dir := range []string{copyDir(t, h.Dir()), h.Dir()} {
		if dir == h.Dir() {
			stop()
		}
		again := start(t, store.Options{Dir: dir})
		if got, ok := connect(t, again, "a", 2).Offset(3); got != -17 || !ok {
			t.Errorf("offset %d, %t", got, ok)
		}
	}
}

func TestFrameAllocates(t *testing.T) {
	s := start(t, store.Options{})
	c := connect(t, s, "a", 1)
	message, d := data(1)
	seq := uint64(0)
	send := func() {
		seq++
		d.Seq = seq
		if err := c.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		send()
	}
	// The committer allocates a little for each commit, in its own goroutine; a frame must not.
	if got := testing.AllocsPerRun(20_000, send); got >= 1 {
		t.Errorf("%v allocations a frame", got)
	}
}

// TestAcknowledgingHoldsUpNoCommit has the acknowledging of one batch wait for the commit of the next.
func TestAcknowledgingHoldsUpNoCommit(t *testing.T) {
	h := start(t, store.Options{})
	began, durable := make(chan struct{}, 1), make(chan struct{})
	first := true
	in := h.Ledger.Ingest("a", 1, func() {
		if first {
			first = false
			began <- struct{}{}
			<-durable
		}
	})
	in.Schema(schemaMessage, schema)
	send := func(seq uint64) {
		message, d := data(seq)
		if err := in.Frame(t.Context(), message, d, tail.Timing{}); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	<-began
	send(2)
	for deadline := time.Now().Add(10 * time.Second); len(in.Received(1)) == 0 || in.Received(1)[0].Last < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Error("the next batch is not on disk")
			break
		}
	}
	close(durable)
}
