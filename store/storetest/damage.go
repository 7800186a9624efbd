package storetest

import (
	"bytes"
	"errors"
	"testing"

	"go.etcd.io/bbolt"
)

// DamageBlocks damages all blocks of a history file that nobody has open.
func DamageBlocks(t testing.TB, path string) {
	t.Helper()
	file, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	err = file.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("blocks"))
		blocks := map[string][]byte{}
		err := b.ForEach(func(k, v []byte) error {
			blocks[string(k)] = bytes.Clone(v)
			return nil
		})
		for k, v := range blocks {
			v[len(v)-1] ^= 4
			err = errors.Join(err, b.Put([]byte(k), v))
		}
		return err
	})
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}
