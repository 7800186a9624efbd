package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/alexedwards/argon2id"
	"go.etcd.io/bbolt"
)

// accessCopy is a copy of the users and API keys beside hub.db, so that a damaged hub.db neither locks everybody out nor
// begins with a setup again.
const accessCopy = "users.json"

// accountsCopy is what is in the copy: hashes, like in hub.db.
type accountsCopy struct {
	Users   []*user        `json:"users"`
	APIKeys []apiKeyRecord `json:"api_keys"`
}

// copy writes users and API keys to the file beside hub.db, if it has not the same already; writing is held. That it could
// not be written is no error of the change, which is in hub.db.
func (a *access) copy() {
	var c accountsCopy
	for _, name := range slices.Sorted(maps.Keys(a.users)) {
		c.Users = append(c.Users, a.users[name])
	}
	for _, k := range a.keys {
		r := k.record()
		r.LastUsed = time.Time{} // the copy is not written again for each use
		c.APIKeys = append(c.APIKeys, r)
	}
	slices.SortFunc(c.APIKeys, func(x, y apiKeyRecord) int { return bytes.Compare(x.Hash[:], y.Hash[:]) })
	b, err := json.Marshal(c)
	path := filepath.Join(a.dir, accessCopy)
	old, readErr := os.ReadFile(path)
	switch {
	case err != nil:
	case readErr == nil && bytes.Equal(old, b):
	case errors.Is(readErr, os.ErrNotExist) && len(c.Users)+len(c.APIKeys) == 0:
	default:
		err = writeFile(path, b)
	}
	if err != nil {
		a.alarms.set(accessCopy, fmt.Sprintf("the copy of users and API keys, %s, can't be written: %v", accessCopy, err))
		return
	}
	a.alarms.clear(accessCopy)
}

// restore fills a new hub.db from the copy. In any other hub.db a mark says that it knows better.
func (a *access) restore() (restored int, err error) {
	fresh := false
	err = a.db.View(func(tx *bbolt.Tx) error {
		fresh = get(tx.Bucket(bucketMeta), keyAccounts) == nil
		return nil
	})
	if err != nil || !fresh {
		return 0, err
	}
	c, err := a.readCopy()
	if err != nil {
		return 0, err
	}
	return len(c.Users) + len(c.APIKeys), a.update(func(tx *bbolt.Tx) error {
		for _, u := range c.Users {
			value, err := json.Marshal(u)
			if err != nil {
				return err
			}
			if err := put(tx.Bucket(bucketUsers), []byte(u.Name), value); err != nil {
				return err
			}
		}
		for _, k := range c.APIKeys {
			value, err := json.Marshal(k)
			if err != nil {
				return err
			}
			if err := put(tx.Bucket(bucketAPIKeys), []byte(k.Name), value); err != nil {
				return err
			}
		}
		return put(tx.Bucket(bucketMeta), keyAccounts, []byte{1})
	})
}

// readCopy returns what the copy has that could have been written by copy.
func (a *access) readCopy() (c accountsCopy, err error) {
	b, err := os.ReadFile(filepath.Join(a.dir, accessCopy))
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		a.log.Error("the copy of users and API keys can't be read, there are none now", "file", accessCopy, "error", err)
		return accountsCopy{}, nil
	}
	c.Users = slices.DeleteFunc(c.Users, func(u *user) bool {
		return u == nil || checkUserName(u.Name) != nil || !slices.Contains(roles, u.Role) || !computable(u.Password)
	})
	c.APIKeys = slices.DeleteFunc(c.APIKeys, func(k apiKeyRecord) bool {
		return checkName("API key", k.Name) != nil || !slices.Contains(roles, k.Role)
	})
	return c, nil
}

// computable tells whether checking a password against this hash costs what it may: other parameters can cost any time
// and memory, or end the process.
func computable(hash string) bool {
	p, _, _, err := argon2id.DecodeHash(hash)
	return err == nil && p.Memory <= 64<<10 && p.Iterations >= 1 && p.Iterations <= 10 && p.Parallelism >= 1 && p.KeyLength >= 16
}
