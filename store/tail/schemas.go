package tail

import (
	"sync"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// The cache is bounded; above that it begins anew. A schema takes a few times the memory of its message.
const (
	maxSchemas     = 1024
	maxSchemaBytes = 2 << 20 // of messages
)

// Schemas caches what was announced, so that devices of one firmware share one schema. The methods are safe for concurrent use.
type Schemas struct {
	mu    sync.Mutex
	known map[device.Hash]announced
	bytes int // of messages
}

type announced struct {
	schema  *device.Schema
	message []byte // SCHEMA
}

// Put takes in a schema and its SCHEMA message, which it keeps.
func (ss *Schemas) Put(hash device.Hash, schema *device.Schema, message []byte) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	if _, known := ss.known[hash]; known {
		return
	}
	if ss.known == nil || len(ss.known) >= maxSchemas || ss.bytes+len(message) > maxSchemaBytes {
		ss.known, ss.bytes = map[device.Hash]announced{}, 0
	}
	ss.known[hash] = announced{schema, message}
	ss.bytes += len(message)
}

// Get returns a schema and its SCHEMA message.
func (ss *Schemas) Get(hash device.Hash) (schema *device.Schema, message []byte, ok bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	a, ok := ss.known[hash]
	return a.schema, a.message, ok
}
