package store

import (
	"github.com/telemetry-hub/telemetry-hub/device"
)

// source is where frames come from: one stream of one device under one schema. Journal entries name it by a number, and
// each segment defines the numbers it uses, so that a segment can be read without hub.db.
type source struct {
	number  uint64
	device  string
	stream  uint64
	hash    device.Hash
	message []byte // SCHEMA
	schema  *device.Schema

	segment  uint64 // the newest segment that defines it, as counted by the batches
	position uint64 // of the newest definition on disk
	saved    bool   // in hub.db
}

type sourceKey struct {
	device string
	stream uint64
	hash   device.Hash
}

func (src *source) key() sourceKey { return sourceKey{src.device, src.stream, src.hash} }

// sources are those the held segments define, and those in use; guarded by Store.mu.
type sources struct {
	byNumber map[uint64]*source
	byKey    map[sourceKey]*source
	last     uint64   // highest number ever given
	pruned   []uint64 // numbers to be deleted from hub.db
}

func newSource(number uint64, deviceID string, stream uint64, message []byte) (*source, error) {
	m, err := device.ParseControl(message)
	if err != nil {
		return nil, err
	}
	schema, ok := m.(*device.Schema)
	if !ok {
		return nil, errEntry
	}
	return &source{
		number: number, device: deviceID, stream: stream,
		hash: device.HashSchema(message), message: message, schema: schema,
	}, nil
}

// put makes the source known under its number.
func (ss *sources) put(src *source) {
	if ss.byNumber == nil {
		ss.byNumber, ss.byKey = map[uint64]*source{}, map[sourceKey]*source{}
	}
	ss.byNumber[src.number] = src
	ss.byKey[src.key()] = src
	ss.last = max(ss.last, src.number)
}

// prune forgets the sources no held segment defines. A connection that still uses one defines it again.
func (ss *sources) prune(first uint64) {
	for number, src := range ss.byNumber {
		if src.position >= first {
			continue
		}
		delete(ss.byNumber, number)
		if ss.byKey[src.key()] == src {
			delete(ss.byKey, src.key())
		}
		if src.saved {
			src.saved = false
			ss.pruned = append(ss.pruned, number)
		}
	}
}

// sourceRecord is a source in hub.db; its schema stands in the bucket of schemas.
type sourceRecord struct {
	_        struct{} `cbor:",toarray"`
	Device   string
	Stream   uint64
	Hash     device.Hash
	Position uint64
}

func (src *source) record() []byte {
	return encode(&sourceRecord{Device: src.device, Stream: src.stream, Hash: src.hash, Position: src.position})
}
