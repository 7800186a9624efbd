// Package certificate keeps the certificate that the hub shows to devices and browsers, and what it is signed with.
//
// Without files given by the operator, it has a small CA of its own in dataDir/tls, and under it a certificate that it renews
// by itself whenever its dates or its names are not right any more. Who trusts the CA, or pins the certificate's public key,
// notices nothing of that.
//
//	ca.pem           the CA's certificate, which devices are given; valid from 1970 to 2100, so whatever the clock says
//	ca-key.pem       its key
//	certificate.pem  the certificate in use
//	key.pem          its key, which stays the same
//
// What can't be read there is set aside as NAME.damaged-TIME with an alarm, and made anew from what is left. A data directory
// of an older version has a certificate that signs itself, and no CA: it stays in use, with an alarm, until Renew.
package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// checkEvery is how often dates, names and addresses are looked at, so that a clock that was set is answered within a minute.
const checkEvery = 30 * time.Second

// Keys of alarms.
const (
	alarmUse    = "certificate"         // the one in use is not as clients want it
	alarmReload = "certificate reload"  // given files can't be read again
	alarmSave   = "certificate files"   // ours can't be written
	alarmCA     = "certificate CA"      // the CA is not what it was
	alarmKey    = "certificate key"     // the key is not what it was
	alarmLeaf   = "certificate damaged" // the certificate was made anew before its time
)

var (
	// ErrGiven says that the certificate was given by the operator, and is not the hub's to renew.
	ErrGiven = errors.New("the certificate comes from the configuration, so the hub does not renew it")

	// ErrNone says that there is no certificate of the hub's own.
	ErrNone = errors.New("the hub has no certificate of its own yet")
)

// Config says where a hub's certificate comes from.
type Config struct {
	DataDir  string   // in its directory tls, the hub keeps a certificate of its own
	CertFile string   // PEM, with its chain, given by the operator; "": the hub has one of its own
	KeyFile  string   // PEM; goes together with CertFile
	Hosts    []string // names and addresses the hub is reached by besides the machine's

	Now    func() time.Time       // wall clock; nil: time.Now
	Logger *slog.Logger           // nil: slog.Default
	Alarm  func(key, text string) // gets what an operator has to know, and "" when that is over; may be nil

	machine func() (name string, addresses []net.IP) // nil: thisMachine
}

// Certificate is the hub's TLS certificate and key, replaced while the hub runs. It is safe for concurrent use.
type Certificate struct {
	// static
	config Config
	source source

	mu     sync.Mutex // held by who uses source
	served atomic.Pointer[served]
}

// served is what new connections are shown.
type served struct {
	pair      tls.Certificate   // with Leaf
	ca        *x509.Certificate // the hub's own, which signed it; nil: another did
	trustFile string            // what devices are given: the file with the CA, or with the certificate itself
}

// source is where the certificate comes from: the operator's files, or the hub itself.
type source interface {
	load() (*served, error)  // reads the files
	check() *served          // looks at dates and names again
	renew() (*served, error) // makes another one
}

// Open loads the hub's certificate; its own, it makes if need be.
func Open(c Config) (*Certificate, error) {
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errors.New("a certificate file and a key file go together: give both or neither")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Alarm == nil {
		c.Alarm = func(string, string) {}
	}
	if c.machine == nil {
		c.machine = thisMachine
	}
	cert := &Certificate{config: c}
	if c.CertFile != "" {
		cert.source = &given{config: c}
	} else {
		cert.source = &own{config: c, dir: filepath.Join(c.DataDir, "tls")}
	}
	s, err := cert.source.load()
	if err != nil {
		return nil, err
	}
	cert.served.Store(s)
	return cert, nil
}

// Run keeps the certificate right until ctx ends: its own, the hub renews in time, after the clock was set, and when the
// machine has got another name or address; of a given one it says when it ends.
func (c *Certificate) Run(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			c.mu.Lock()
			c.served.Store(c.source.check())
			c.mu.Unlock()
		}
	}
}

// Reload reads the files again. On an error, such as a key that does not belong to the certificate, the old certificate
// stays in use, with an alarm.
func (c *Certificate) Reload() error { return c.replace(source.load, alarmReload) }

// Renew makes another certificate, with the same key, in place of the hub's own. It returns ErrGiven if it is not its own.
func (c *Certificate) Renew() error { return c.replace(source.renew, "") }

func (c *Certificate) replace(make func(source) (*served, error), alarm string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := make(c.source)
	if err == nil {
		c.served.Store(s)
	}
	if alarm != "" {
		text := ""
		if err != nil {
			text = "the certificate could not be read again, the old one stays in use: " + err.Error()
		}
		c.config.Alarm(alarm, text)
	}
	return err
}

// TLSConfig returns the server configuration for Hub.Run: this certificate, TLS 1.2 or newer.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &c.served.Load().pair, nil
		},
	}
}

// Covers reports whether the certificate is for this host name or address.
func (c *Certificate) Covers(host string) bool {
	return c.served.Load().pair.Leaf.VerifyHostname(host) == nil
}
