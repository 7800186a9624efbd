package accounts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/alexedwards/argon2id"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/names"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
)

// copyName is the copy of the users and API keys beside hub.db, so that a damaged hub.db neither locks everybody out nor
// begins with a setup again.
const copyName = "users.json"

// copyRecord is a user or an API key, with hashes, like in hub.db.
type copyRecord struct {
	User   *user         `json:"user,omitempty"`
	APIKey *apiKeyRecord `json:"api_key,omitempty"`
}

// writeCopy writes users and API keys to the copy; writing is held.
func (a *Accounts) writeCopy() {
	var records []any
	for _, name := range slices.Sorted(maps.Keys(a.users)) {
		records = append(records, copyRecord{User: a.users[name]})
	}
	for _, hash := range slices.SortedFunc(maps.Keys(a.keys), func(x, y secrets.Hash) int { return bytes.Compare(x[:], y[:]) }) {
		r := a.keys[hash].record()
		r.LastUsed = time.Time{} // the copy is not written again for each use
		records = append(records, copyRecord{APIKey: &r})
	}
	a.copy.Write(records)
}

// RetryCopy writes the copy if that has failed before.
func (a *Accounts) RetryCopy() {
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.copy.Stale() {
		a.writeCopy()
	}
}

// Restore is called once, after Open: what hub.db may lack is restored from the copy, and then the copy is made what hub.db is.
func (a *Accounts) Restore() {
	if a.db.Fresh() || a.db.Reverted() || a.db.DamagedIn(hubdb.BucketUsers) || a.db.DamagedIn(hubdb.BucketAPIKeys) {
		restored, bad, err := a.restore(a.db.Reverted())
		a.copy.NoteRestored(restored, bad, "; everybody has to log in again", err)
	}
	a.writeCopy()
}

// restore takes the users and API keys from the copy that hub.db does not have, or, if the copy is newer, not like this. It returns
// how many, and how many more the copy can't tell any more.
func (a *Accounts) restore(newer bool) (restored, bad int, err error) {
	var missing []copyRecord
	bad, err = a.copy.Read(func(record []byte) error {
		var r copyRecord
		if err := json.Unmarshal(record, &r); err != nil {
			return err
		}
		switch {
		case r.User != nil && r.User.valid():
			if old := a.users[r.User.Name]; old == nil || newer && (old.Password != r.User.Password || old.Role != r.User.Role) {
				missing = append(missing, r)
			}
		case r.APIKey != nil && r.APIKey.valid():
			if old := a.keyNamed(r.APIKey.Name); old == nil || newer && old.hash != r.APIKey.Hash {
				missing = append(missing, r)
			}
		default:
			return hubdb.ErrRecord
		}
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read %s: %w", copyName, err)
	}
	for _, r := range missing {
		if r.User != nil {
			a.users[r.User.Name] = r.User
		} else {
			k := r.APIKey
			if old := a.keyNamed(k.Name); old != nil {
				delete(a.keys, old.hash)
			}
			a.keys[k.Hash] = &apiKey{name: k.Name, role: k.Role, created: k.Created, hash: k.Hash}
		}
	}
	return len(missing), bad, a.update(func(tx *bbolt.Tx) error {
		for _, r := range missing {
			if err := r.put(tx); err != nil {
				return err
			}
		}
		return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyAccounts, []byte{1})
	})
}

func (r *copyRecord) put(tx *bbolt.Tx) error {
	if r.User != nil {
		value, err := json.Marshal(r.User)
		if err != nil {
			return err
		}
		return hubdb.Put(tx.Bucket(hubdb.BucketUsers), []byte(r.User.Name), value)
	}
	value, err := json.Marshal(r.APIKey)
	if err != nil {
		return err
	}
	return hubdb.Put(tx.Bucket(hubdb.BucketAPIKeys), []byte(r.APIKey.Name), value)
}

// valid tells whether a user read from a file could have been written by the hub.
func (u *user) valid() bool {
	return checkUserName(u.Name) == nil && slices.Contains(roles, u.Role) && affordable(u.Password)
}

// valid tells whether an API key read from a file could have been written by the hub.
func (k *apiKeyRecord) valid() bool {
	return names.Check("API key", k.Name) == nil && slices.Contains(roles, k.Role)
}

// affordable tells whether checking a password against this hash costs what it may: other parameters can cost any time
// and memory, or end the process.
func affordable(hash string) bool {
	p, _, _, err := argon2id.DecodeHash(hash)
	return err == nil && p.Memory <= 64<<10 && p.Iterations >= 1 && p.Iterations <= 10 && p.Parallelism >= 1 && p.KeyLength >= 16
}
