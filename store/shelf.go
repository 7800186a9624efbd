package store

import (
	"cmp"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// The dead-letter shelf holds at most this much; then the oldest letters go.
const (
	maxLetters     = 10_000
	maxLetterBytes = 32 << 20 // of messages
)

// DeadLetter is a frame the hub refused to store, or what InfluxDB refused of a stored one.
type DeadLetter struct {
	Position uint64    `json:"position" cbor:"-"` // in the journal; names the letter
	Device   string    `json:"device"`
	Received time.Time `json:"received"`
	Seq      uint64    `json:"seq"`  // 0: unreadable
	Code     uint8     `json:"code"` // device.RejectCode; 0 if Lines is not
	Text     string    `json:"text"`
	Message  []byte    `json:"message"`         // as received; line protocol if Lines is not 0
	Lines    int       `json:"lines,omitempty"` // that InfluxDB refused; the frame itself is stored
}

// decode reads what a checkpoint has written.
func (l *DeadLetter) decode(key, value []byte) error {
	if err := cbor.Unmarshal(value, l); err != nil {
		return err
	}
	position, ok := hubdb.ParseKey8(key)
	if _, err := l.Received.MarshalJSON(); err != nil || !ok {
		return hubdb.ErrRecord
	}
	l.Position = position
	return nil
}

// shelf holds the letters that no checkpoint has written to hub.db yet; guarded by Store.mu.
type shelf struct {
	pending []DeadLetter
	bytes   int    // of messages
	gone    uint64 // letters that were pending and are not any more
}

// add takes letters. If hub.db can't be written, only as many wait as it would keep.
func (s *shelf) add(letters []DeadLetter) {
	s.pending = append(s.pending, letters...)
	for i := range letters {
		s.bytes += len(letters[i].Message)
	}
	n, bytes := 0, s.bytes
	for len(s.pending)-n > maxLetters || bytes > maxLetterBytes {
		bytes -= len(s.pending[n].Message)
		n++
	}
	s.drop(n)
}

func (s *shelf) waiting() int { return len(s.pending) }

// snapshot returns the letters that wait, and what saved has to be told of them.
func (s *shelf) snapshot() (letters []DeadLetter, end uint64) {
	return slices.Clone(s.pending), s.gone + uint64(len(s.pending))
}

// saved forgets the letters of a snapshot, which hub.db has now.
func (s *shelf) saved(end uint64) {
	if end > s.gone {
		s.drop(int(end - s.gone))
	}
}

func (s *shelf) drop(n int) {
	for i := range s.pending[:n] {
		s.bytes -= len(s.pending[i].Message)
	}
	s.pending = slices.Delete(s.pending, 0, n)
	s.gone += uint64(n)
}

func saveLetters(tx *bbolt.Tx, letters []DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	b := tx.Bucket(hubdb.BucketDeadLetters)
	for i := range letters {
		if err := hubdb.Put(b, hubdb.Key8(letters[i].Position), hubdb.Encode(&letters[i])); err != nil {
			return err
		}
	}
	return trimLetters(b)
}

// trimLetters removes the oldest letters above the limits.
func trimLetters(b *bbolt.Bucket) error {
	var count, bytes int
	var old [][]byte
	c := b.Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		count++
		bytes += len(v)
		if count > maxLetters || bytes > maxLetterBytes {
			old = append(old, slices.Clone(k))
		}
	}
	for _, k := range old {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// DeadLetters returns at most limit letters with positions above after, oldest first.
func (s *Store) DeadLetters(after uint64, limit int) ([]DeadLetter, error) {
	s.mu.Lock()
	pending, _ := s.shelf.snapshot()
	s.mu.Unlock()
	var letters []DeadLetter
	err := s.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(hubdb.BucketDeadLetters).Cursor()
		for k, v := c.Seek(hubdb.Key8(after + 1)); k != nil && len(letters) < limit; k, v = c.Next() {
			var letter DeadLetter
			if value, ok := hubdb.Unseal(k, v); !ok || letter.decode(k, value) != nil {
				continue // the next start reports it
			}
			letters = append(letters, letter)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, letter := range pending {
		if letter.Position > after {
			letters = append(letters, letter)
		}
	}
	slices.SortStableFunc(letters, func(a, b DeadLetter) int { return cmp.Compare(a.Position, b.Position) })
	letters = slices.CompactFunc(letters, func(a, b DeadLetter) bool { return a.Position == b.Position })
	return letters[:min(limit, len(letters))], nil
}

// DropDeadLetters removes the letters at these positions, or all of them for nil, and returns how many there were. Run
// must be running.
func (s *Store) DropDeadLetters(positions []uint64) (int, error) {
	// Without a checkpoint a restart would put the newest letters back on the shelf.
	if err := s.Checkpoint(); err != nil {
		return 0, err
	}
	dropped := 0
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(hubdb.BucketDeadLetters)
		if positions == nil {
			dropped = b.Stats().KeyN
			if err := tx.DeleteBucket(hubdb.BucketDeadLetters); err != nil {
				return err
			}
			_, err := tx.CreateBucket(hubdb.BucketDeadLetters)
			return err
		}
		for _, p := range positions {
			k := hubdb.Key8(p)
			if b.Get(k) == nil {
				continue
			}
			dropped++
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	return dropped, err
}

// letters counts what is on the shelf.
func (s *Store) letters() (n int) {
	s.mu.Lock()
	n = len(s.shelf.pending)
	s.mu.Unlock()
	_ = s.db.View(func(tx *bbolt.Tx) error {
		n += tx.Bucket(hubdb.BucketDeadLetters).Stats().KeyN
		return nil
	})
	return n
}
