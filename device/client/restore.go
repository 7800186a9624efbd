package client

import (
	"bytes"
	"math"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// snapshot is the content of a new buffer file: the state in memory, as records.
func (c *Client) snapshot() []byte {
	b := &c.buf
	h := header{stream: b.stream, first: b.oldest(), tail: b.oldest(), next: b.next}
	out := make([]byte, headerSize, headerSize+b.bytes)
	var s *schemaRecord // last one written
	for i := range b.frames {
		f := &b.frames[i]
		if f.message == nil {
			continue
		}
		if f.schema != s {
			s = f.schema
			out = appendRecord(out, recordSchema, s.message)
		}
		next := b.next
		if n := b.heldFrom(f.seq + 1); n != nil {
			next = n.seq
		}
		out = appendFrameRecord(out, f, f.seq-h.tail, next-f.seq-1)
		h.tail = f.seq + 1
	}
	appendHeader(out[:0], h)
	// What is lost was told among what is settled: a record that is damaged is not missed then, but the hub may ask.
	for _, r := range b.lost {
		out = appendRangeRecord(out, recordLost, r.first, r.last, byte(r.reason))
	}
	b.log.schema = s
	return c.commands.appendRecords(out)
}

// restorer turns the content of a buffer file back into the state in memory.
type restorer struct {
	buf      *buffer
	commands *commands
	schemas  map[device.Hash]*schemaRecord
	known    device.SeqSet // sequence numbers that are accounted for
	last     uint64        // number of the last frame
	hidden   uint64        // frames that may stand in damaged bytes behind the last frame read
	damaged  bool
}

// restore fills the client's state from the content of its buffer file. The only error is that of a damaged header: then
// nothing in the file can be used, because the stream is not known.
func (c *Client) restore(file []byte) error {
	h, err := parseHeader(file)
	if err != nil {
		return err
	}
	b := &c.buf
	b.stream, b.next = h.stream, h.next
	r := restorer{buf: b, commands: &c.commands, schemas: map[device.Hash]*schemaRecord{c.schema.hash: c.schema}}
	scanRecords(file[headerSize:], r.record, r.damage)
	r.known.AddRange(h.tail, h.next-1)
	for _, gone := range r.known.Missing(h.first, b.next-1, nil, math.MaxInt) {
		b.lose(gone.First, gone.Last, device.LostCorrupted)
	}
	if last := min(b.next+r.hidden, device.MaxSeq+1); last > b.next {
		b.lose(b.next, last-1, device.LostCorrupted)
		b.next = last
	}
	b.fresh = b.next
	for b.bytes > b.limit {
		b.overwriteOldest()
	}
	b.compact()
	b.acked, b.lostCount = 0, 0
	for _, l := range b.lost {
		b.lostCount += l.last - l.first + 1
	}
	b.created = uint64(b.held) + b.lostCount
	if r.damaged {
		c.log.Warn("the buffer file was damaged", "path", c.cfg.BufferPath, "frames", b.held, "lost", b.lostCount)
	}
	return nil
}

func (r *restorer) damage(b []byte) {
	r.damaged = true
	r.hidden += maxFrames(b)
}

// record takes in one intact record. What does not make sense is passed over: a frame that is thereby missed is found missing
// in the end.
func (r *restorer) record(kind byte, payload []byte) {
	switch kind {
	case recordSchema:
		r.schema(payload)
	case recordFrame:
		r.frame(payload)
	case recordSettled:
		if first, last, _, ok := parseRange(payload); ok {
			r.used(first, last)
			r.buf.settle(first, last, false)
		}
	case recordLost:
		if first, last, reason, ok := parseRange(payload); ok && len(reason) == 1 {
			r.used(first, last)
			r.buf.settle(first, last, false)
			r.buf.lose(first, last, device.LostReason(reason[0]))
		}
	case recordCommand:
		if len(payload) == len(device.CommandID{}) {
			r.commands.restoreBegun(device.CommandID(payload))
		}
	case recordResult:
		if m, err := device.ParseControl(payload); err == nil && m.Type() == device.TypeResult {
			r.commands.restoreResult(m.(*device.Result).ID, bytes.Clone(payload))
		}
	}
}

// used takes note of sequence numbers that a record names.
func (r *restorer) used(first, last uint64) {
	r.known.AddRange(first, last)
	r.buf.next = max(r.buf.next, last+1)
}

func (r *restorer) schema(message []byte) {
	m, err := device.ParseControl(message)
	if err != nil || m.Type() != device.TypeSchema {
		return
	}
	if s := newSchemaRecord(m.(*device.Schema), bytes.Clone(message)); r.schemas[s.hash] == nil {
		r.schemas[s.hash] = s
	}
}

func (r *restorer) frame(payload []byte) {
	f, ok := parseFrame(payload)
	if !ok || f.seq-f.before <= r.last {
		return
	}
	r.last = f.seq
	r.hidden = 0 // what was hidden before this frame has a lower number and shows as missing
	r.used(f.seq-f.before, f.seq-1)
	r.used(f.seq+1, f.seq+f.after)
	if s := r.schemas[f.hash]; s != nil {
		r.known.Add(f.seq)
		r.buf.append(frame{seq: f.seq, message: bytes.Clone(f.message), schema: s})
	}
}
