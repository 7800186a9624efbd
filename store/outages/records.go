package outages

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// Snapshot is what a checkpoint records.
type Snapshot struct {
	log       *Log
	starts    int // Log.starts when it was taken
	runs      []byte
	forgotten []string
	devices   []deviceRecord
}

type deviceRecord struct {
	id     string
	device *deviceLog
	record []byte
}

// Snapshot returns what has changed since the last one.
func (l *Log) Snapshot() *Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.serving(); r != nil {
		r.Known = max(r.Known, l.times.Now().UnixMilli())
	}
	s := &Snapshot{log: l, starts: l.starts, runs: hubdb.Encode(l.runs), forgotten: l.forgotten}
	l.forgotten = nil
	for id, h := range l.devices {
		if h.changed {
			h.changed = false
			s.devices = append(s.devices, deviceRecord{id, h, h.encode()})
		}
	}
	return s
}

// Put writes the snapshot into a transaction.
func (s *Snapshot) Put(tx *bbolt.Tx) error {
	b := tx.Bucket(hubdb.BucketIncidents)
	for _, id := range s.forgotten {
		if err := b.Delete([]byte(id)); err != nil {
			return err
		}
	}
	for i := range s.devices {
		if err := hubdb.Put(b, []byte(s.devices[i].id), s.devices[i].record); err != nil {
			return err
		}
	}
	runs := s.runs
	s.log.mu.Lock()
	if s.log.starts != s.starts {
		runs = hubdb.Encode(s.log.runs) // the hub has started since, and that may be in hub.db already
	}
	s.log.mu.Unlock()
	return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyRuns, runs)
}

// Failed says that the transaction has failed: the next snapshot has to have it all.
func (s *Snapshot) Failed() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	for i := range s.devices {
		s.devices[i].device.changed = true
	}
	s.log.forgotten = append(s.forgotten, s.log.forgotten...)
}

// deviceLogRecord is what is known of a device in hub.db.
type deviceLogRecord struct {
	_           struct{} `cbor:",toarray"`
	Connections []int64  // from, to, from, to, …, each as the difference to the one before; a to that is 0 as −1
	Losses      []loss
}

func (h *deviceLog) encode() []byte {
	var r deviceLogRecord
	before := int64(0)
	for _, c := range h.connections {
		length := c.to - c.from
		if c.to == 0 {
			length = -1
		}
		r.Connections = append(r.Connections, c.from-before, length)
		before = c.from + max(length, 0)
	}
	for _, l := range h.losses {
		r.Losses = append(r.Losses, *l)
	}
	return hubdb.Encode(&r)
}

// parseDeviceLog reads what encode wrote.
func parseDeviceLog(b []byte) (*deviceLog, error) {
	var r deviceLogRecord
	if err := cbor.Unmarshal(b, &r); err != nil {
		return nil, err
	}
	if len(r.Connections)%2 != 0 || len(r.Connections) > 2*maxConnections || len(r.Losses) > maxLosses {
		return nil, fmt.Errorf("%w: %d times of connections, %d losses", hubdb.ErrRecord, len(r.Connections), len(r.Losses))
	}
	h := &deviceLog{}
	before := int64(0)
	for pair := range slices.Chunk(r.Connections, 2) {
		c := connection{from: before + pair[0]}
		if pair[1] >= 0 {
			c.to = c.from + pair[1]
		}
		before = max(c.from, c.to)
		h.connections = append(h.connections, c)
	}
	for i := range r.Losses {
		h.losses = append(h.losses, &r.Losses[i])
	}
	return h, nil
}

func parseRuns(b []byte) (runs []run, err error) {
	if err := cbor.Unmarshal(b, &runs); err != nil {
		return nil, err
	}
	return runs, nil
}

func parseGap(b []byte) (g Gap, err error) {
	err = json.Unmarshal(b, &g)
	return g, err
}
