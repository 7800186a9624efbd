package accounts

import (
	"context"
	"fmt"

	"github.com/telemetry-hub/telemetry-hub/store/secrets"
)

// NewSetupCode returns a code with which Setup makes the first user, or ErrSetupDone if there are users. It lasts until
// there are users, the next call, or the end of the process.
func (a *Accounts) NewSetupCode() (string, error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	if len(a.users) > 0 {
		return "", ErrSetupDone
	}
	code, hash := secrets.New(codePrefix)
	a.mu.Lock()
	a.setup = hash
	a.mu.Unlock()
	return code, nil
}

// Setup makes the first user, an admin, and begins a session of it. It returns ErrUnauthenticated for a code that is not
// the one of NewSetupCode, ErrSetupDone when there are users, or an error of AddUser.
func (a *Accounts) Setup(ctx context.Context, code, name, password string) (secret string, id Identity, err error) {
	hash := secrets.HashOf(code)
	valid := func() error {
		switch {
		case len(a.users) > 0:
			return ErrSetupDone
		case a.setup == secrets.Hash{} || a.setup != hash:
			return ErrUnauthenticated
		}
		return nil
	}
	a.mu.RLock()
	err = valid() // before the work: not everybody may cause it
	a.mu.RUnlock()
	if err != nil {
		return "", Identity{}, err
	}
	u, err := a.newUser(ctx, name, password, RoleAdmin)
	if err != nil {
		return "", Identity{}, err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if err := valid(); err != nil {
		return "", Identity{}, err
	}
	if err := a.putUser(u); err != nil {
		return "", Identity{}, err
	}
	return a.openSession(u.Name)
}

// NewLoginCode returns a code that logs the user in once, through LoginWithCode, until the process ends; or ErrNoUser.
func (a *Accounts) NewLoginCode(name string) (string, error) {
	name = UserName(name)
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.users[name] == nil {
		return "", fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	code, hash := secrets.New(codePrefix)
	a.mu.Lock()
	a.codes[hash] = name
	a.mu.Unlock()
	return code, nil
}

// LoginWithCode begins a session with a code of NewLoginCode, which is used up, or returns ErrUnauthenticated.
func (a *Accounts) LoginWithCode(code string) (secret string, id Identity, err error) {
	hash := secrets.HashOf(code)
	a.writing.Lock()
	defer a.writing.Unlock()
	name, ok := a.codes[hash]
	if !ok {
		return "", Identity{}, ErrUnauthenticated
	}
	a.mu.Lock()
	delete(a.codes, hash)
	a.mu.Unlock()
	return a.openSession(name)
}
