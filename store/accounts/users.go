package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/names"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
)

// User is a person who may log in.
type User struct {
	Name    string    `json:"name"` // lower case
	Role    Role      `json:"role"`
	Created time.Time `json:"created"`
}

// user is a User as it is kept. It is replaced, never changed.
type user struct {
	User
	Password string `json:"password"` // argon2id, in PHC format
}

var userPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]*$`)

const maxUserName = 64 // bytes

// UserName is a user's name as it is kept and compared: phones like to begin with a capital.
func UserName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func checkUserName(name string) error {
	if len(name) > maxUserName || !userPattern.MatchString(name) {
		return fmt.Errorf("%w: user %q: use 1 to %d letters, digits, dots, dashes, underscores, @ and +, beginning with a letter or digit",
			names.ErrBad, name, maxUserName)
	}
	return nil
}

// Users returns all users, sorted by name.
func (a *Accounts) Users() []User {
	a.mu.RLock()
	defer a.mu.RUnlock()
	list := make([]User, 0, len(a.users))
	for _, name := range slices.Sorted(maps.Keys(a.users)) {
		list = append(list, a.users[name].User)
	}
	return list
}

// User returns a user or ErrNoUser.
func (a *Accounts) User(name string) (User, error) {
	name = UserName(name)
	a.mu.RLock()
	defer a.mu.RUnlock()
	if u := a.users[name]; u != nil {
		return u.User, nil
	}
	return User{}, fmt.Errorf("%w: %s", ErrNoUser, name)
}

// HasUsers tells whether anybody may log in.
func (a *Accounts) HasUsers() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.users) > 0
}

// AddUser makes a user. The name is taken in lower case. Errors wrap names.ErrBad, ErrBadRole, ErrBadPassword or
// ErrUserExists.
func (a *Accounts) AddUser(name, password string, role Role) error {
	u, err := a.newUser(context.Background(), name, password, role)
	if err != nil {
		return err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.users[u.Name] != nil {
		return fmt.Errorf("%w: %s", ErrUserExists, u.Name)
	}
	return a.putUser(u)
}

// newUser checks what a user is to be made of, and computes the hash of the password.
func (a *Accounts) newUser(ctx context.Context, name, password string, role Role) (*user, error) {
	name = UserName(name)
	if err := checkUserName(name); err != nil {
		return nil, err
	}
	if _, err := ParseRole(string(role)); err != nil {
		return nil, err
	}
	if err := checkPassword(name, password); err != nil {
		return nil, err
	}
	hash, err := a.passwords.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	return &user{User{Name: name, Role: role, Created: a.now().UTC()}, hash}, nil
}

// SetPassword replaces a user's password and ends the user's sessions. Errors wrap ErrNoUser or ErrBadPassword.
func (a *Accounts) SetPassword(name, password string) error {
	u, err := a.User(name)
	if err != nil {
		return err
	}
	if err := checkPassword(u.Name, password); err != nil {
		return err
	}
	hash, err := a.passwords.hash(context.Background(), password)
	if err != nil {
		return err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	old := a.users[u.Name]
	if old == nil {
		return fmt.Errorf("%w: %s", ErrNoUser, u.Name)
	}
	return a.putUser(&user{old.User, hash}, a.sessionsOf(u.Name)...)
}

// SetRole gives a user another role, which sessions that are open have at once. Unless force, the last admin stays one:
// ErrLastAdmin. Other errors wrap ErrNoUser or ErrBadRole.
func (a *Accounts) SetRole(name string, role Role, force bool) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	name = UserName(name)
	a.writing.Lock()
	defer a.writing.Unlock()
	old := a.users[name]
	if old == nil {
		return fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	if role != RoleAdmin && !force && a.lastAdmin(name) {
		return fmt.Errorf("%w: %s", ErrLastAdmin, name)
	}
	u := *old
	u.Role = role
	return a.putUser(&u)
}

// RemoveUser removes a user and ends the user's sessions. Unless force, the last admin stays: ErrLastAdmin. Other errors
// wrap ErrNoUser.
func (a *Accounts) RemoveUser(name string, force bool) error {
	name = UserName(name)
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.users[name] == nil {
		return fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	if !force && a.lastAdmin(name) {
		return fmt.Errorf("%w: %s", ErrLastAdmin, name)
	}
	ended := a.sessionsOf(name)
	err := a.update(func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(hubdb.BucketUsers).Delete([]byte(name)), deleteSessions(tx, ended))
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	delete(a.users, name)
	a.drop(ended)
	maps.DeleteFunc(a.codes, func(_ secrets.Hash, user string) bool { return user == name })
	a.mu.Unlock()
	a.writeCopy()
	return nil
}

// lastAdmin tells whether name is the only admin; writing is held.
func (a *Accounts) lastAdmin(name string) bool {
	for _, u := range a.users {
		if u.Role == RoleAdmin && u.Name != name {
			return false
		}
	}
	return a.users[name].Role == RoleAdmin
}

// putUser adds or replaces a user and ends sessions; writing is held.
func (a *Accounts) putUser(u *user, ended ...secrets.Hash) error {
	value, err := json.Marshal(u)
	if err != nil {
		return err
	}
	err = a.update(func(tx *bbolt.Tx) error {
		return errors.Join(hubdb.Put(tx.Bucket(hubdb.BucketUsers), []byte(u.Name), value), deleteSessions(tx, ended))
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.users[u.Name] = u
	a.setup = secrets.Hash{}
	a.drop(ended)
	a.mu.Unlock()
	a.writeCopy()
	return nil
}
