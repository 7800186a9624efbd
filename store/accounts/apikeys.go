package accounts

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/names"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
)

// APIKey is what a script proves itself with. The key itself is not kept.
type APIKey struct {
	Name     string    `json:"name"`
	Role     Role      `json:"role"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"` // to the minute; zero: never
}

// apiKey is an APIKey in RAM.
type apiKey struct {
	name    string
	role    Role
	created time.Time
	hash    secrets.Hash
	used    lastUse
}

// apiKeyRecord is an APIKey in hub.db.
type apiKeyRecord struct {
	APIKey
	Hash secrets.Hash `json:"hash"`
}

func (k *apiKey) describe() APIKey {
	return APIKey{Name: k.name, Role: k.role, Created: k.created, LastUsed: k.used.time()}
}

func (k *apiKey) record() apiKeyRecord { return apiKeyRecord{k.describe(), k.hash} }

func readAPIKey(value []byte) (*apiKey, error) {
	var r apiKeyRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	if !r.valid() {
		return nil, hubdb.ErrRecord
	}
	k := &apiKey{name: r.Name, role: r.Role, created: r.Created, hash: r.Hash}
	if !r.LastUsed.IsZero() {
		k.used.at.Store(r.LastUsed.Unix())
	}
	return k, nil
}

// APIKeys returns all API keys, sorted by name.
func (a *Accounts) APIKeys() []APIKey {
	a.mu.RLock()
	defer a.mu.RUnlock()
	list := make([]APIKey, 0, len(a.keys))
	for _, k := range a.keys {
		list = append(list, k.describe())
	}
	slices.SortFunc(list, func(x, y APIKey) int { return strings.Compare(x.Name, y.Name) })
	return list
}

// AddAPIKey makes an API key, which is shown once. Errors wrap names.ErrBad, ErrBadRole or ErrAPIKeyExists.
func (a *Accounts) AddAPIKey(name string, role Role) (key string, err error) {
	if err := names.Check("API key", name); err != nil {
		return "", err
	}
	if _, err := ParseRole(string(role)); err != nil {
		return "", err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.keyNamed(name) != nil {
		return "", fmt.Errorf("%w: %s", ErrAPIKeyExists, name)
	}
	key, hash := secrets.New(apiKeyPrefix)
	k := &apiKey{name: name, role: role, created: a.now().UTC(), hash: hash}
	value, err := json.Marshal(k.record())
	if err != nil {
		return "", err
	}
	if err := a.update(func(tx *bbolt.Tx) error { return hubdb.Put(tx.Bucket(hubdb.BucketAPIKeys), []byte(name), value) }); err != nil {
		return "", err
	}
	a.mu.Lock()
	a.keys[hash] = k
	a.mu.Unlock()
	a.writeCopy()
	return key, nil
}

// RemoveAPIKey makes an API key invalid, or returns ErrNoAPIKey.
func (a *Accounts) RemoveAPIKey(name string) error {
	a.writing.Lock()
	defer a.writing.Unlock()
	k := a.keyNamed(name)
	if k == nil {
		return fmt.Errorf("%w: %s", ErrNoAPIKey, name)
	}
	if err := a.update(func(tx *bbolt.Tx) error { return tx.Bucket(hubdb.BucketAPIKeys).Delete([]byte(name)) }); err != nil {
		return err
	}
	a.mu.Lock()
	delete(a.keys, k.hash)
	a.mu.Unlock()
	a.writeCopy()
	return nil
}

// keyNamed returns the API key of this name, nil if there is none; writing is held.
func (a *Accounts) keyNamed(name string) *apiKey {
	for _, k := range a.keys {
		if k.name == name {
			return k
		}
	}
	return nil
}
