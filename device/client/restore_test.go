package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// sampleFile is a buffer file with everything in it: a snapshot, and behind it frames of two schemas, acks, a lost range and
// commands. starts are where its records begin.
func sampleFile(t testing.TB) (file []byte, c *Client, starts []int) {
	c = newTestClient(1 << 20)
	for v := range int64(12) {
		if _, err := c.Send(oneValue(v)); err != nil {
			t.Fatal(err)
		}
	}
	c.buf.settle(3, 4, false)
	c.buf.settle(7, 7, false)
	c.buf.settle(12, 12, false)
	file = c.snapshot()
	c.buf.log.pending = nil
	for v := range int64(6) {
		if _, err := c.Send(oneValue(v)); err != nil {
			t.Fatal(err)
		}
	}
	renamed := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "renamed", Type: device.Int}}}
	if err := c.SetSchema(renamed); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Send(oneValue(9)); err != nil {
		t.Fatal(err)
	}
	c.buf.overwriteOldest()
	c.buf.settle(9, 10, false)
	c.buf.log.command(device.CommandID{1})
	c.buf.log.command(device.CommandID{2})
	c.buf.log.result(encodeResult(device.CommandID{2}, device.Result{Text: "done"}))
	if _, err := c.Send(oneValue(10)); err != nil {
		t.Fatal(err)
	}
	file = append(file, c.buf.log.pending...)
	for at := headerSize; at < len(file); at += intact(file[at:]) {
		starts = append(starts, at)
	}
	return file, c, starts
}

// restored is the client that a file gives. Its schema is that of the frames, as after a restart of the same firmware.
func restored(t testing.TB, file []byte) *Client {
	t.Helper()
	c := newTestClient(1 << 20)
	c.buf.log = nil
	if err := c.restore(file); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRestore(t *testing.T) {
	file, before, _ := sampleFile(t)
	c := restored(t, file)
	was, is := booksOf(&before.buf), booksOf(&c.buf)
	if len(is.held) != len(was.held) || len(is.lost) != 1 || is.next != was.next || c.buf.stream != before.buf.stream {
		t.Errorf("%v, want %v", is, was)
	}
	last := c.buf.frames[len(c.buf.frames)-1]
	if last.schema.schema.Channels[0].Name != "renamed" || c.buf.frames[0].schema != c.schema {
		t.Error("the frames have lost their schemas")
	}
	if r := resultOf(t, c, 1); r.Status != device.ResultFailed {
		t.Errorf("%+v", r)
	}
	if r := resultOf(t, c, 2); r.Text != "done" {
		t.Errorf("%+v", r)
	}
}

func resultOf(t *testing.T, c *Client, id byte) *device.Result {
	t.Helper()
	k := c.commands.known[device.CommandID{id}]
	if k == nil {
		t.Fatalf("command %d is forgotten", id)
	}
	m, err := device.ParseControl(k.result)
	if err != nil {
		t.Fatal(err)
	}
	return m.(*device.Result)
}

// checkDamage makes sure that after damage every frame is still there as it was, or settled, or declared corrupted, and that
// its number is not used again if it may ever have been used.
func checkDamage(t *testing.T, what string, before *Client, c *Client) {
	t.Helper()
	was, is := booksOf(&before.buf), booksOf(&c.buf)
	for seq, m := range was.held {
		if got, held := is.held[seq]; held && got != m {
			t.Errorf("%s: frame %d has changed", what, seq)
		} else if !held && is.lost[seq] != device.LostCorrupted {
			t.Errorf("%s: frame %d has vanished", what, seq)
		}
	}
	if is.next < was.next {
		t.Errorf("%s: number %d would be used again", what, is.next)
	}
}

func TestEveryDamagedByteIsNoticed(t *testing.T) {
	file, before, starts := sampleFile(t)
	for at := headerSize; at < len(file); at++ {
		damaged := bytes.Clone(file)
		damaged[at] ^= 0x55
		c := restored(t, damaged)
		checkDamage(t, fmt.Sprintf("byte %d", at), before, c)
		// One record is damaged: a frame, or a schema without which two frames mean nothing.
		lost := 0
		for _, reason := range booksOf(&c.buf).lost {
			if reason == device.LostCorrupted {
				lost++
			}
		}
		start := starts[0]
		for _, s := range starts {
			if s <= at {
				start = s
			}
		}
		limit := map[byte]int{recordFrame: 1, recordSchema: 2}[file[start+2]]
		if start == starts[len(starts)-1] && at < start+3 {
			limit = 2 // as many may have been in bytes that look like nothing, and no later frame tells
		}
		if lost > limit {
			t.Errorf("byte %d, in a record of type %d: %d frames lost", at, file[start+2], lost)
		}
	}
}

// A file whose last write never arrived whole, cut at every byte.
func TestEveryTornTail(t *testing.T) {
	file, _, starts := sampleFile(t)
	starts = append(starts, len(file))
	for i, start := range starts[:len(starts)-1] {
		whole := booksOf(&restored(t, file[:start]).buf)
		for at := start; at < starts[i+1]; at++ {
			for _, zeros := range []int{0, 100} {
				torn := append(bytes.Clone(file[:at]), make([]byte, zeros)...)
				if intact(torn[start:]) > 0 {
					continue // what was cut off were zeros
				}
				c := restored(t, torn)
				is := booksOf(&c.buf)
				for seq, m := range whole.held {
					if is.held[seq] != m {
						t.Fatalf("cut at %d: frame %d is gone", at, seq)
					}
				}
				into := at - start
				gone := is.next - whole.next
				switch {
				case into == 0 && gone > 0, gone > 1, into > 2 && file[start+2] != recordFrame && gone > 0:
					t.Errorf("cut at %d, %d bytes into a record of type %d: %d numbers given up", at, into, file[start+2], gone)
				case into > 2 && file[start+2] == recordFrame && seqAt(file, start) >= whole.next && gone != 1:
					t.Errorf("cut at %d: the number of a frame that may have been sent is used again", at)
				}
				if gone == 1 && is.lost[whole.next] != device.LostCorrupted {
					t.Errorf("cut at %d: %v", at, is.lost)
				}
			}
		}
	}
}

// seqAt is the sequence number in the frame record at start.
func seqAt(file []byte, start int) uint64 { return binary.LittleEndian.Uint64(file[start+recordHead:]) }

func TestHeaderDamage(t *testing.T) {
	file, _, _ := sampleFile(t)
	for at := range headerSize {
		damaged := bytes.Clone(file)
		damaged[at] ^= 1
		if err := newTestClient(1 << 20).restore(damaged); err == nil {
			t.Errorf("byte %d: no error", at)
		}
		if err := newTestClient(1 << 20).restore(file[:at]); err == nil {
			t.Errorf("%d bytes: no error", at)
		}
	}
}

// A smaller limit than the file was made with.
func TestRestoreIntoASmallerBuffer(t *testing.T) {
	file, before, _ := sampleFile(t)
	c := newTestClient(500)
	c.buf.log = nil
	if err := c.restore(file); err != nil {
		t.Fatal(err)
	}
	if c.buf.bytes > 500 || c.buf.lostCount == 0 {
		t.Errorf("%d bytes, %d lost", c.buf.bytes, c.buf.lostCount)
	}
	if s := c.Stats(); s.Created != s.Lost+s.Unacked {
		t.Errorf("%+v", s)
	}
	is := booksOf(&c.buf)
	for seq := range booksOf(&before.buf).held {
		if _, held := is.held[seq]; !held && is.lost[seq] != device.LostOverwritten {
			t.Errorf("frame %d has vanished", seq)
		}
	}
}

func FuzzRestore(f *testing.F) {
	file, _, starts := sampleFile(f)
	f.Add(file)
	f.Add(file[headerSize:])
	for _, s := range starts {
		f.Add(file[:s+recordHead])
	}
	head := file[:headerSize]
	f.Fuzz(func(t *testing.T, tail []byte) {
		for _, file := range [][]byte{tail, append(bytes.Clone(head), tail...)} {
			c := newTestClient(1 << 20)
			c.buf.log = nil
			if c.restore(file) != nil {
				continue
			}
			b := &c.buf
			if b.next < 1 || b.next > device.MaxSeq+1 || b.bytes > b.limit || b.created != b.lostCount+uint64(b.held) {
				t.Fatalf("%+v", b)
			}
			for i, f := range b.frames {
				if (f.message == nil) != (f.schema == nil) || f.seq >= b.next || i > 0 && f.seq <= b.frames[i-1].seq {
					t.Fatalf("frame %d: %+v", i, f)
				}
			}
			// What is written from it reads back the same.
			b.log = &recordLog{limit: 1 << 20, wake: make(chan struct{}, 1)}
			again := restored(t, c.snapshot())
			if again.buf.next != b.next || again.buf.held != b.held || len(again.buf.lost) != len(b.lost) || again.buf.lostCount != b.lostCount {
				t.Fatalf("%+v\n%+v", b, again.buf)
			}
		}
	})
}
