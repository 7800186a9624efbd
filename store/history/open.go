package history

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
)

// minWaste is how much of a file has to be free, besides more than half of it, for Open to compact it.
const minWaste = 64 << 20

// Open opens or makes the history at o.Path. A file that cannot be used is renamed, to setAside, and a new one made; of
// renamed ones only the newest is kept. ErrLocked says that another process has the file open.
func Open(o Options) (h *History, setAside string, err error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Received == nil {
		o.Received = func(_ uint64, received time.Time) time.Time { return received }
	}
	h, err = open(o)
	if errors.Is(err, ErrDamaged) {
		damage := err
		if setAside, err = boltfile.SetAside(o.Path, o.Now()); err != nil {
			return nil, "", errors.Join(damage, err)
		}
		o.Logger.Error("the history file can't be used and was set aside", "file", setAside, "error", damage)
		h, err = open(o)
	}
	if err != nil {
		return nil, setAside, fmt.Errorf("history: %w", err)
	}
	return h, setAside, nil
}

func open(o Options) (*History, error) {
	file, err := boltfile.Open(o.Path, reserve(o))
	if err != nil {
		return nil, err
	}
	h := &History{opts: o, file: file, buffers: map[string]*buffer{}, written: o.Now()}
	h.limit.Store(o.MaxBytes)
	if err := h.begin(); err != nil {
		return nil, errors.Join(err, h.file.Close())
	}
	return h, nil
}

// reserve is the address space for the file: it passes MaxBytes, by what is being deleted and by what was kept under a
// higher limit.
func reserve(o Options) int64 { return o.MaxBytes + o.MaxBytes/2 + minWaste }

func (h *History) begin() error {
	if err := h.makeBuckets(); err != nil {
		return err
	}
	if err := h.load(); err != nil {
		return err
	}
	if err := h.verify(false); err != nil {
		return err
	}
	if err := h.enforceLimits(); err != nil {
		return err
	}
	if waste := h.size - h.used; waste < minWaste || waste <= h.size/2 {
		return nil
	}
	file, err := h.file.Compact(reserve(h.opts))
	if file == nil {
		h.opts.Logger.Warn("the history file could not be compacted", "error", err)
		return nil
	}
	h.file = file
	return h.measure()
}

// enforceLimits deletes what has become too old, or too much by a lower limit.
func (h *History) enforceLimits() error {
	for h.overLimit() {
		before := h.edge.number
		err := h.commit(nil)
		switch {
		case errors.Is(err, ErrDamaged):
			return err
		case err != nil: // the disk may be full: that must not keep the hub from starting
			h.opts.Logger.Warn("old readings could not be deleted", "error", err)
			return nil
		case h.edge.number == before:
			return nil
		}
	}
	return nil
}

// makeBuckets prepares a new file.
func (h *History) makeBuckets() error {
	var empty bool
	var format []byte
	err := h.file.View(func(tx *bolt.Tx) error {
		k, _ := tx.Cursor().First()
		empty = k == nil
		if b := tx.Bucket(bucketMeta); b != nil {
			format = bytes.Clone(b.Get(keyFormat))
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case bytes.Equal(format, formatNow):
		return nil
	case !empty:
		return fmt.Errorf("%w: its format %q is not known", ErrDamaged, format)
	}
	return h.file.Update(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketBlocks, bucketRecent, bucketIndex, bucketSchemas} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		return errors.Join(meta.Put(keyFormat, formatNow), state{cursor: 1, next: 1}.put(tx))
	})
}

// load reads the state, the pending entries and the watermarks.
func (h *History) load() error {
	var s state
	var at edge
	var records []record
	err := h.file.View(func(tx *bolt.Tx) (err error) {
		for _, name := range [][]byte{bucketBlocks, bucketRecent, bucketIndex, bucketSchemas} {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("no bucket %s", name)
			}
		}
		if s, err = readState(tx); err != nil {
			return err
		}
		if at, err = h.findEdge(tx, s); err != nil {
			return err
		}
		return tx.Bucket(bucketRecent).ForEach(func(k, v []byte) error {
			r, err := parseRecord(k, v)
			if err == nil { // else verify finds its block
				records = append(records, r)
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state, h.edge = s, at
	h.next = max(h.next, s.cursor)
	for _, b := range h.buffers {
		b.pending = nil
	}
	h.pending = 0
	watermarks := map[*buffer]uint64{}
	for i := range records {
		r := &records[i]
		b := h.buffer(r.device)
		watermarks[b] = r.watermark // a later record may set it back, see Remove
		if r.block {
			b.pending = append(b.pending, r.entry)
			h.pending++
		}
	}
	for b, watermark := range watermarks {
		h.buffered -= b.dropThrough(watermark)
		if b.first == 0 {
			b.last = watermark
		}
	}
	h.listFull()
	return h.measure()
}

// reload brings memory and file together after a commit that failed, which may have taken place nevertheless.
func (h *History) reload() error {
	if err := h.load(); err != nil {
		return err
	}
	h.unsure = false
	return nil
}

// Close writes everything and closes the file. A damaged file is renamed, and the error says to what.
func (h *History) Close() error {
	h.writing.Lock()
	defer h.writing.Unlock()
	if h.closed {
		return nil
	}
	var err error
	if !h.file.Damaged() {
		err = h.flush(true)
	}
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	if !h.file.Damaged() {
		return errors.Join(err, h.file.Close())
	}
	setAside, err := boltfile.SetAside(h.opts.Path, h.opts.Now())
	if err != nil {
		return fmt.Errorf("history: %w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("history: %w: it was set aside as %s", ErrDamaged, setAside)
}
