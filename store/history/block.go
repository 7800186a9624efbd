package history

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// A block holds samples of one device, one schema and one quality, in order of arrival:
//
//	u32   CRC-32C of the block number (u64) and of all that follows; little endian like all of this
//	i64   newest time of receipt in it, ms since 1970
//	u8    quality
//	[8]   schema hash
//	      uvarint length of the device's id, id
//	      uvarint count of frames, then for each: uvarint difference of the journal position to the frame's before (to 0),
//	      varint difference of the time of receipt to the frame's before (to the newest), uvarint count of samples
//	      DATA message with the samples of all frames, seq 1, clock wall, to the end
//
// Samples with equal times in two blocks are put in order by the positions.
const (
	blockReceived = 4
	blockQuality  = blockReceived + 8
	blockHash     = blockQuality + 1
	blockDevice   = blockHash + device.HashSize
)

// part is the share of one frame in a block.
type part struct {
	position uint64
	received int64 // ms since 1970
	samples  int
}

// appendBlock appends a block whose checksum is still missing.
func appendBlock(dst []byte, deviceID string, f *format, parts []part, d *device.Data) ([]byte, error) {
	newest := parts[0].received
	for _, p := range parts {
		newest = max(newest, p.received)
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(newest))
	dst = append(dst, byte(f.quality))
	dst = append(dst, f.hash[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(deviceID)))
	dst = append(dst, deviceID...)
	dst = binary.AppendUvarint(dst, uint64(len(parts)))
	before := part{received: newest}
	for _, p := range parts {
		dst = binary.AppendUvarint(dst, p.position-before.position)
		dst = binary.AppendVarint(dst, p.received-before.received)
		dst = binary.AppendUvarint(dst, uint64(p.samples))
		before = p
	}
	dst, err := device.AppendData(dst, d, f.schema)
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// sealBlock writes the checksum of a block that gets this number.
func sealBlock(block []byte, number uint64) {
	binary.LittleEndian.PutUint32(block, blockChecksum(block, number))
}

func blockChecksum(block []byte, number uint64) uint32 {
	return crc32.Update(crc32.Checksum(numberKey(number), castagnoli), castagnoli, block[blockReceived:])
}

// checkBlock tells whether the bytes are what was written under this number.
func checkBlock(block []byte, number uint64) bool {
	return len(block) >= blockDevice && binary.LittleEndian.Uint32(block) == blockChecksum(block, number)
}

// partsOf returns the frames of a block, none if it is damaged.
func partsOf(block []byte, number uint64) iter.Seq[part] {
	return func(yield func(part) bool) {
		if !checkBlock(block, number) {
			return
		}
		_, _, _, d := blockHead(block)
		p := part{received: int64(binary.LittleEndian.Uint64(block[blockReceived:]))}
		for range d.uvarint() {
			p.position += d.uvarint()
			p.received += d.varint()
			p.samples = int(d.uvarint())
			if d.bad || !yield(p) {
				return
			}
		}
	}
}

// contents is a decoded block. Its memory can be used again for another one.
type contents struct {
	raw      []byte // what data's strings alias
	quality  tail.Quality
	parts    []part
	partOf   []uint16 // for each sample the index in parts
	data     device.Data
	order    []uint16 // the samples' indices by time, equal times in order of arrival; empty: as they are
	channels []*device.Channel
	schema   *device.Schema
}

// blockHead reads what stands before the parts, which it returns.
func blockHead(block []byte) (deviceID string, hash device.Hash, q tail.Quality, parts decoder) {
	d := decoder{rest: block[blockDevice:]}
	copy(hash[:], block[blockHash:])
	id := d.bytes(d.uvarint())
	return string(id), hash, tail.Quality(block[blockQuality]), d
}

// parse decodes c.raw, whose checksum has been found right or which never was in a file.
func (c *contents) parse(s *device.Schema, channels []string) error {
	_, _, quality, d := blockHead(c.raw)
	c.quality = quality
	count := d.uvarint()
	if count == 0 || count > device.MaxSamples {
		return fmt.Errorf("%d frames", count)
	}
	c.parts, c.partOf = c.parts[:0], c.partOf[:0]
	p := part{received: int64(binary.LittleEndian.Uint64(c.raw[blockReceived:]))}
	for i := range count {
		p.position += d.uvarint()
		p.received += d.varint()
		samples := d.uvarint()
		if samples == 0 || samples+uint64(len(c.partOf)) > device.MaxSamples {
			return fmt.Errorf("frame %d has %d samples", i, samples)
		}
		p.samples = int(samples)
		c.parts = append(c.parts, p)
		for range samples {
			c.partOf = append(c.partOf, uint16(i))
		}
	}
	if err := device.ParseData(d.rest, s, &c.data); err != nil {
		return err
	}
	if len(c.data.Times) != len(c.partOf) {
		return fmt.Errorf("%d samples, the frames have %d", len(c.data.Times), len(c.partOf))
	}
	c.sort()
	c.selectChannels(s, channels)
	return nil
}

// sort finds the order of the samples by time.
func (c *contents) sort() {
	c.order = c.order[:0]
	times := c.data.Times
	if slices.IsSorted(times) {
		return
	}
	for i := range times {
		c.order = append(c.order, uint16(i))
	}
	slices.SortStableFunc(c.order, func(a, b uint16) int {
		switch {
		case times[a] < times[b]:
			return -1
		case times[a] > times[b]:
			return 1
		}
		return 0
	})
}

// selectChannels finds each column's channel: nil if only others are wanted.
func (c *contents) selectChannels(s *device.Schema, names []string) {
	c.schema, c.channels = s, c.channels[:0]
	for i := range c.data.Columns {
		ch, _ := s.Channel(c.data.Columns[i].ID)
		if len(names) > 0 && !slices.Contains(names, ch.Name) {
			ch = nil
		}
		c.channels = append(c.channels, ch)
	}
}

// sample is the index of the i-th sample in order of time.
func (c *contents) sample(i int) int {
	if len(c.order) > 0 {
		return int(c.order[i])
	}
	return i
}

// readings yields what the sample holds, channels by ascending id, and returns false when yield does.
func (c *contents) readings(sample int, deviceID string, yield func(Reading, error) bool) bool {
	r := Reading{
		Time: device.Moment(c.data.Times[sample]), Device: deviceID, Schema: c.schema, Quality: c.quality,
		Received: time.UnixMilli(c.parts[c.partOf[sample]].received).UTC(),
	}
	for i, ch := range c.channels {
		if ch == nil {
			continue
		}
		v, ok := c.data.Columns[i].Value(sample, ch)
		if !ok {
			continue
		}
		r.Channel, r.Value = ch, v
		if !yield(r, nil) {
			return false
		}
	}
	return true
}
