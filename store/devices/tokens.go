package devices

import (
	"fmt"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/secrets"
)

// tokenPrefix begins a token.
const tokenPrefix = "thd_"

// tokenOverlap is how long the old token works after the new one's first use.
const tokenOverlap = 24 * time.Hour

// Token is one valid token of a device. The token itself is not kept.
type Token struct {
	Hash      secrets.Hash `json:"hash"`
	Created   time.Time    `json:"created"`
	FirstUsed time.Time    `json:"first_used,omitzero"`
	Expires   time.Time    `json:"expires,omitzero"` // zero: never
}

// Credential is a device with its token, which is shown once.
type Credential struct {
	Device string `json:"device"`
	Token  string `json:"token"`
}

func newToken(now time.Time) (string, Token) {
	token, hash := secrets.New(tokenPrefix)
	return token, Token{Hash: hash, Created: now.UTC()}
}

// Authenticate returns the device a token stands for, or ErrUnknownToken, or the device and ErrRevoked. The token is looked up by its
// hash, so the time taken says nothing about valid ones. It never waits for a disk.
func (r *Registry) Authenticate(token string) (deviceID string, err error) {
	hash := secrets.HashOf(token)
	r.mu.RLock()
	now := r.times.Now() // the times of tokens move with it, under mu
	id, known := r.tokens[hash]
	d := r.devices[id]
	r.mu.RUnlock()
	if !known || d == nil {
		return "", ErrUnknownToken
	}
	for _, t := range d.Tokens {
		switch {
		case t.Hash != hash:
		case d.Revoked:
			return id, fmt.Errorf("%w: %s", ErrRevoked, id)
		case !t.Expires.IsZero() && !now.Before(t.Expires):
			return "", ErrUnknownToken
		default:
			if t.FirstUsed.IsZero() {
				r.used(id, hash)
			}
			return id, nil
		}
	}
	return "", ErrUnknownToken
}

// used notes a token's first use, from which the older token's days are counted. If the hub dies before the next checkpoint, the
// next use counts.
func (r *Registry) used(id string, hash secrets.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.devices[id] == nil {
		return
	}
	now := r.times.Now()
	d := r.devices[id].clone()
	i := slices.IndexFunc(d.Tokens, func(t Token) bool { return t.Hash == hash })
	if i < 0 || !d.Tokens[i].FirstUsed.IsZero() {
		return
	}
	d.Tokens[i].FirstUsed = now.UTC()
	for j := range i {
		d.Tokens[j].Expires = now.Add(tokenOverlap).UTC()
	}
	r.devices[id] = d
	r.noted[id] = true
}

// Rotate gives the device a new token. The old one works on until a day after the new one's first use, or until the next rotation.
// A revoked device is admitted again, with the new token only.
func (r *Registry) Rotate(id string) (token string, err error) {
	token, t := newToken(r.times.Now())
	err = r.change(id, func(d *Device) *Device {
		if d.Revoked {
			d.Revoked, d.Tokens = false, nil
		}
		d.Tokens = append(d.Tokens[max(0, len(d.Tokens)-1):], t)
		return d
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// Revoke makes all tokens of the device invalid; its data stays.
func (r *Registry) Revoke(id string) error {
	return r.change(id, func(d *Device) *Device {
		d.Revoked = true // the hashes stay, so that the device is told why it is refused
		return d
	})
}
