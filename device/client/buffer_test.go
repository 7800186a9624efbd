package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// newTestClient is a client with a buffer and a log, but without files and goroutines.
func newTestClient(limit int) *Client {
	cfg := Config{URL: "wss://hub", Token: "x", Schema: testSchema, BufferBytes: limit}
	c, err := New(cfg)
	if err != nil {
		panic(err)
	}
	c.buf.log = &recordLog{limit: limit, wake: make(chan struct{}, 1)}
	return c
}

// books is what a buffer holds, by sequence number.
type books struct {
	held map[uint64]string
	lost map[uint64]device.LostReason
	next uint64
}

func booksOf(b *buffer) books {
	out := books{held: map[uint64]string{}, lost: map[uint64]device.LostReason{}, next: b.next}
	for _, f := range b.frames {
		if f.message != nil {
			out.held[f.seq] = string(f.message)
		}
	}
	for _, r := range b.lost {
		for seq := r.first; seq <= r.last; seq++ {
			out.lost[seq] = r.reason
		}
	}
	return out
}

// checkInvariants makes sure that the buffer's counts agree with what it holds.
func checkInvariants(t *rapid.T, b *buffer) {
	held, size, inFlight, inFlightBytes := 0, 0, 0, 0
	for i, f := range b.frames {
		if i > 0 && f.seq <= b.frames[i-1].seq {
			t.Fatalf("frame %d behind %d", f.seq, b.frames[i-1].seq)
		}
		if f.message == nil {
			continue
		}
		held++
		size += len(f.message) + frameOverhead
		if f.sent == b.conn && b.conn != 0 {
			inFlight++
			inFlightBytes += len(f.message)
		}
	}
	if held != b.held || size != b.bytes || inFlight != b.inFlight || inFlightBytes != b.inFlightBytes {
		t.Fatalf("counted %d, %d, %d, %d; the buffer says %d, %d, %d, %d",
			held, size, inFlight, inFlightBytes, b.held, b.bytes, b.inFlight, b.inFlightBytes)
	}
	if b.bytes > b.limit {
		t.Fatalf("%d bytes in a buffer of %d", b.bytes, b.limit)
	}
	if b.created != b.acked+b.rejected+b.lostCount+uint64(b.held) {
		t.Fatalf("created %d, acked %d, rejected %d, lost %d, held %d", b.created, b.acked, b.rejected, b.lostCount, b.held)
	}
	for i, r := range b.lost {
		if r.first > r.last || i > 0 && r.first <= b.lost[i-1].last {
			t.Fatalf("lost ranges %+v", b.lost)
		}
	}
}

// The buffer against a model: nothing disappears but what the hub has settled, and the records of the log always give back
// the same state, behind whatever snapshot they were begun.
func TestBufferModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := newTestClient(2048)
		b := &c.buf
		settled := map[uint64]bool{}
		file, conns := c.snapshot(), uint64(0)
		settle := func(t *rapid.T, rejected bool) {
			first := rapid.Uint64Range(1, b.next).Draw(t, "first")
			last := first + rapid.Uint64Range(0, 10).Draw(t, "more")
			b.settle(first, last, rejected)
			for seq := first; seq <= min(last, b.next-1); seq++ {
				settled[seq] = true
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				m := append([]byte{3}, binary.AppendUvarint(nil, b.next)...)
				m = append(m, make([]byte, rapid.IntRange(0, 900).Draw(t, "size"))...)
				if err := b.add(m, c.schema); err != nil {
					t.Fatal(err)
				}
			},
			"ack":    func(t *rapid.T) { settle(t, false) },
			"reject": func(t *rapid.T) { settle(t, true) },
			"launch": func(t *rapid.T) {
				b.durable = b.next - 1
				if f := b.unsent(rapid.Uint64Range(0, b.next).Draw(t, "from"), b.next); f != nil && b.conn != 0 {
					b.launch(f)
				}
			},
			"recall": func(t *rapid.T) {
				first := rapid.Uint64Range(1, b.next).Draw(t, "first")
				for _, r := range b.recall(first, first+20, nil) {
					for seq := r.First; seq <= r.Last; seq++ {
						if !settled[seq] {
							t.Fatalf("frame %d is said to be gone", seq)
						}
					}
				}
			},
			"declare": func(t *rapid.T) {
				if i := b.undeclared(); i >= 0 && b.conn != 0 {
					told := b.declare(i, func(uint64, uint64) {})
					for seq := told.first; seq <= told.last; seq++ {
						if _, held := booksOf(b).held[seq]; held {
							t.Fatalf("frame %d is held and said to be lost: %+v", seq, told)
						}
					}
				}
			},
			"connect":    func(*rapid.T) { conns++; b.connected(conns) },
			"disconnect": func(*rapid.T) { b.connected(0) },
			"snapshot":   func(*rapid.T) { file, b.log.pending = c.snapshot(), nil },
			"": func(t *rapid.T) {
				checkInvariants(t, b)
				now := booksOf(b)
				for seq := uint64(1); seq < b.next; seq++ {
					_, held := now.held[seq]
					_, lost := now.lost[seq]
					if held && lost || (held || lost) == settled[seq] {
						t.Fatalf("frame %d: held %v, lost %v, settled %v", seq, held, lost, settled[seq])
					}
				}
				if b.log.rewrite {
					file, b.log.pending, b.log.rewrite = c.snapshot(), nil, false
				}
				again := newTestClient(2048)
				again.buf.log = nil
				if err := again.restore(slices.Concat(file, b.log.pending)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(now, booksOf(&again.buf), cmp.AllowUnexported(books{})); diff != "" {
					t.Fatal(diff)
				}
				checkInvariants(t, &again.buf)
			},
		})
	})
}

// A frame in flight is not overwritten: only the hub knows whether it is lost.
func TestFramesInFlightAreNotOverwritten(t *testing.T) {
	c := newTestClient(1000)
	b := &c.buf
	b.connected(1)
	for range 4 {
		add(t, c, 100)
	}
	b.durable = 4
	b.launch(b.unsent(3, 4))
	for range 8 {
		add(t, c, 100)
	}
	if _, held := booksOf(b).held[3]; !held {
		t.Error("the frame in flight is gone")
	}
	b.connected(2)
	if told := b.declare(b.undeclared(), func(uint64, uint64) {}); told.first != 1 || told.last != 2 {
		t.Errorf("the hub is told %+v", told)
	}
	if told := b.declare(b.undeclared(), func(uint64, uint64) {}); told.first != 4 {
		t.Errorf("the hub is told %+v", told)
	}
}

func add(t *testing.T, c *Client, size int) {
	t.Helper()
	if err := c.buf.add(make([]byte, size), c.schema); err != nil {
		t.Fatal(err)
	}
}

func TestLostRangesStayFew(t *testing.T) {
	c := newTestClient(1 << 20)
	b := &c.buf
	for range 4 * maxLostRanges {
		add(t, c, 10)
	}
	for seq := uint64(2); seq < b.next; seq += 2 {
		b.settle(seq, seq, false)
	}
	before := b.acked
	b.limit = 1000
	for range 20 {
		add(t, c, 10)
	}
	for b.bytes > b.limit {
		b.overwriteOldest()
	}
	if len(b.lost) > maxLostRanges+1 {
		t.Errorf("%d ranges", len(b.lost))
	}
	b.connected(1)
	b.settle(1, b.next, false)
	if b.acked < before || b.created != b.acked+b.lostCount || len(b.lost) > 0 {
		t.Errorf("created %d, acked %d, lost %d", b.created, b.acked, b.lostCount)
	}
}

// Overflow while the hub is away, then again while it does not acknowledge.
func TestOverflowIsDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		cfg := h.config()
		size := len(message(t, 1)) + frameOverhead
		cfg.BufferBytes = 10 * size
		c, stop := h.startDevice(cfg)
		defer stop()
		h.visit()
		for v := range int64(25) {
			sendValues(t, c, v)
		}
		if s := checkBooks(t, c); s.Lost != 15 || s.Unacked != 10 {
			t.Errorf("%+v", s)
		}
		hc := h.accept()
		if hc.hello.Oldest != 16 || hc.hello.Next != 26 {
			t.Errorf("%+v", hc.hello)
		}
		// The hub has 5 of the lost ones from before: then they were acked.
		hc.welcome(device.Ranges{{First: 4, Last: 8}})
		if got, want := expect[*device.Lost](hc), (device.Lost{First: 1, Last: 15, Reason: device.LostOverwritten}); *got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		if s := checkBooks(t, c); s.Lost != 10 || s.Acked != 5 {
			t.Errorf("%+v", s)
		}

		// Half the buffer is in flight and stays; the other half is overwritten again and again, and told of once a second.
		synctest.Wait()
		if got := hc.expectFrames(len(hc.in)); !slices.Equal(got, []uint64{16, 17, 18, 19, 20}) {
			t.Errorf("sent %v", got)
		}
		for v := range int64(20) {
			sendValues(t, c, v)
			time.Sleep(10 * time.Millisecond)
		}
		s := checkBooks(t, c)
		if s.Lost != 30 {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var declared, messages uint64
		for range len(hc.in) {
			if b := hc.next(); device.Type(b[0]) == device.TypeLost {
				m, err := device.ParseControl(b)
				if err != nil {
					t.Fatal(err)
				}
				l := m.(*device.Lost)
				declared += l.Last - l.First + 1
				messages++
			}
		}
		if declared != 20 || messages > 2 {
			t.Errorf("declared %d lost in %d messages", declared, messages)
		}
		hc.ack(device.Range{First: 1, Last: 45})
		if err := c.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		if s := checkBooks(t, c); s.Unacked != 0 || s.Lost != 30 || s.Acked != 15 {
			t.Errorf("%+v", s)
		}
		hc.cut()
	})
}

// LOST is said again on the next connection as long as it is not acknowledged.
func TestLostIsRepeatedUntilAcked(t *testing.T) {
	h := newFakeHub(t)
	cfg := h.config()
	cfg.BufferBytes = 10 * (len(message(t, 1)) + frameOverhead)
	c, _ := h.startDevice(cfg)
	for v := range int64(12) {
		sendValues(t, c, v)
	}
	want := device.Lost{First: 1, Last: 2, Reason: device.LostOverwritten}
	for range 2 {
		hc := h.accept()
		hc.welcome(nil)
		if got := expect[*device.Lost](hc); *got != want {
			t.Errorf("%+v", got)
		}
		hc.cut()
	}
	hc := h.accept()
	hc.welcome(device.Ranges{{First: 1, Last: 2}})
	if got := hc.expectFrames(1); got[0] != 3 {
		t.Errorf("%v", got)
	}
	if s := checkBooks(t, c); s.Lost != 2 || s.Acked != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMessageIsCopied(t *testing.T) {
	c := newTestClient(1 << 20)
	sendValues(t, c, 1, 2)
	if bytes.Equal(c.buf.frames[0].message, c.buf.frames[1].message) {
		t.Error("two frames share their bytes")
	}
}
