package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"time"
)

const (
	// leafLife is the longest that Apple's clients accept; others accept more.
	leafLife = 825 * 24 * time.Hour

	// backdated is how long before now a certificate begins: clocks of devices differ, and some keep local time.
	backdated = 48 * time.Hour

	// renewBefore is how long before its end a certificate is replaced.
	renewBefore = 30 * 24 * time.Hour

	// caName begins the name of every hub's CA; what follows is of its key.
	caName = "telemetry-hub CA "
)

// The CA is valid whatever the clock says, of the hub or of a device.
var (
	caBegin = time.Unix(0, 0)
	caEnd   = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// validity returns the dates of a certificate that is made now. A clock may say anything; dates stay within the CA's.
func validity(now time.Time) (begin, end time.Time) {
	if latest := caEnd.Add(backdated - leafLife); now.After(latest) {
		now = latest
	}
	if begin = now.Add(-backdated); begin.Before(caBegin) {
		begin = caBegin
	}
	return begin, begin.Add(leafLife)
}

// wrongDates reports whether a certificate made now would do much better: the present one ends soon, or the clock was set.
func wrongDates(leaf *x509.Certificate, now time.Time) bool {
	begin, _ := validity(now)
	return leaf.NotBefore.After(begin.Add(backdated/2)) || leaf.NotAfter.Before(begin.Add(backdated+renewBefore))
}

// issuedByHub reports whether a certificate was signed by the CA of a hub, this one's or another.
func issuedByHub(leaf *x509.Certificate) bool {
	return strings.HasPrefix(leaf.Issuer.CommonName, caName)
}

// issue makes another certificate under the CA, for the key that is there.
func (o *own) issue(reason string) error {
	if o.caKey == nil {
		o.replaceCA("the key " + o.path(caKeyFile) + " is lost, and the certificate had to be renewed because " + reason)
	}
	want, _ := o.config.wanted()
	if o.chain != nil {
		// Names and addresses that come and go must not have it renewed each time.
		want.addIPs(o.chain[0].IPAddresses...)
		for _, name := range o.chain[0].DNSNames {
			want.addDNS(name)
		}
	}
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "telemetry-hub"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    want.dns, IPAddresses: want.ips,
	}
	leaf.NotBefore, leaf.NotAfter = validity(o.config.Now())
	leaf, err := sign(leaf, o.ca, o.key.Public(), o.caKey)
	if err != nil {
		return err
	}
	o.chain = []*x509.Certificate{leaf}
	o.write(leafFile, []byte(asPEM(leaf.Raw)), 0o644)
	o.config.Logger.Info("made a certificate", "because", reason, "file", o.path(leafFile), "until", leaf.NotAfter.UTC(), "public key sha256", hash(leaf.RawSubjectPublicKeyInfo))
	return nil
}

func (o *own) newKey() { o.key = o.makeKey(keyFile) }

// newCA makes a CA with a new key. why says what happened to the old one, if there was one that devices may trust.
func (o *own) newCA(why string) {
	o.caKey = o.makeKey(caKeyFile)
	o.makeCA()
	o.config.Logger.Info("made a certificate authority", "file", o.path(caFile), "sha256", hash(o.ca.Raw))
	if why != "" {
		o.config.Alarm(alarmCA, why+": a new CA was made, "+o.path(caFile)+", and devices that trust the old one have to be given it")
	}
}

// replaceCA is newCA for a CA whose key is lost.
func (o *own) replaceCA(why string) {
	o.setAside(caFile, "its key is lost")
	o.newCA(why)
}

// makeCA makes the CA's certificate for the CA's key. It has the same name and key identifier each time, so that whoever has
// an earlier one trusts what is signed.
func (o *own) makeCA() {
	public, err := x509.MarshalPKIXPublicKey(o.caKey.Public())
	if err != nil {
		panic(err) // of a key that was parsed or made
	}
	id := sha256.Sum256(public)
	ca := &x509.Certificate{
		Subject:   pkix.Name{CommonName: caName + hash(public)[:8]},
		NotBefore: caBegin, NotAfter: caEnd,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, MaxPathLenZero: true,
		SubjectKeyId: id[:20],
	}
	if o.ca, err = sign(ca, ca, o.caKey.Public(), o.caKey); err != nil {
		panic(err) // nothing in it comes from outside
	}
	o.write(caFile, []byte(asPEM(o.ca.Raw)), 0o644)
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// makeKey makes a key that is to be kept in a file.
func (o *own) makeKey(name string) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // it never fails
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err) // nor does it for such a key
	}
	o.write(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return key
}

var errNoPEM = errors.New("not a PEM file")

func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errNoPEM
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	}
	if err != nil {
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("not a private key")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, errors.New("not a key for signatures")
	}
	return key, nil
}

func parseChain(text []byte) (chain []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if chain == nil {
		return nil, errNoPEM
	}
	return chain, nil
}

func parseCA(text []byte) (*x509.Certificate, error) {
	chain, err := parseChain(text)
	if err != nil {
		return nil, err
	}
	if ca := chain[0]; !ca.IsCA || ca.CheckSignatureFrom(ca) != nil {
		return nil, errors.New("not a self-signed certificate authority")
	}
	return chain[0], nil
}
