package commands

import (
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

const (
	defaultPage = 100
	maxPage     = 1_000
)

// Filter selects commands. Zero values select all.
type Filter struct {
	Device string
	States []State
	Since  time.Time // accepted at this moment or later
	Before uint64    // lower numbers only: the page behind another
	Limit  int       // 0: 100; at most 1000
}

// List returns commands, the newest first.
func (b *Book) List(f Filter) ([]Command, error) {
	if f.Limit <= 0 {
		f.Limit = defaultPage
	}
	f.Limit = min(f.Limit, maxPage)
	list := []Command{}
	err := b.DB.View(func(tx *bbolt.Tx) error {
		return b.newestFirst(tx, f, func(number uint64, value []byte) (more bool, err error) {
			var c Command
			if c.decode(number, value) != nil {
				return true, nil // the next start reports it
			}
			if c.Created.Before(f.Since) {
				return false, nil
			}
			if len(f.States) == 0 || slices.Contains(f.States, c.State) {
				list = append(list, c)
			}
			return len(list) < f.Limit, nil
		})
	})
	return list, err
}

// newestFirst calls f with the commands of a device, or of all, while it wants more.
func (b *Book) newestFirst(tx *bbolt.Tx, filter Filter, f func(number uint64, value []byte) (bool, error)) error {
	bucket := tx.Bucket(hubdb.BucketCommands)
	if filter.Device == "" {
		c := bucket.Cursor()
		for k, v := hubdb.SeekBefore(c, filter.Before); k != nil; k, v = c.Prev() {
			number, _ := hubdb.ParseKey8(k)
			value, ok := hubdb.Unseal(k, v)
			if !ok {
				continue // the next start reports it
			}
			if more, err := f(number, value); err != nil || !more {
				return err
			}
		}
		return nil
	}
	b.index.RLock()
	numbers := slices.Clone(b.index.lists[filter.Device])
	b.index.RUnlock()
	for _, number := range slices.Backward(numbers) {
		if filter.Before > 0 && number >= filter.Before {
			continue
		}
		value := hubdb.Get(bucket, hubdb.Key8(number))
		if value == nil {
			continue // dropped meanwhile
		}
		if more, err := f(number, value); err != nil || !more {
			return err
		}
	}
	return nil
}
