package certificate

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
)

// Names of files in the directory tls.
const (
	caFile    = "ca.pem"
	caKeyFile = "ca-key.pem"
	leafFile  = "certificate.pem"
	keyFile   = "key.pem"
)

// own is a certificate that the hub keeps itself, with its CA. In memory there is always all that is needed to serve; what
// could not be written yet is tried again at each check.
type own struct {
	// static
	config Config
	dir    string

	ca      *x509.Certificate
	caKey   crypto.Signer       // nil: lost, so that ca can sign nothing any more
	chain   []*x509.Certificate // the certificate in use first
	key     crypto.Signer
	unsaved []unsaved
}

// load reads the files, sets aside what is damaged, and makes what is lacking.
func (o *own) load() (*served, error) {
	if !o.save() {
		return o.served(), nil // what is in memory is newer than the files
	}
	if o.key != nil {
		if err := o.unreadable(); err != nil {
			return nil, err
		}
	}
	o.removeRests()
	key, keyLoss := read(o, keyFile, parseKey)
	chain, leafLoss := read(o, leafFile, parseChain)
	caKey, caKeyLoss := read(o, caKeyFile, parseKey)
	ca, caLoss := read(o, caFile, parseCA)

	if ca != nil && caKey != nil && !sameKey(ca, caKey) {
		if chain != nil && chain[0].CheckSignatureFrom(ca) == nil { // then it is the one that devices have
			caKey, caKeyLoss = nil, o.setAside(caKeyFile, "not the key of "+caFile)
		} else {
			ca, caLoss = nil, o.setAside(caFile, "not of the key "+caKeyFile)
		}
	}
	if chain != nil && key != nil && !sameKey(chain[0], key) {
		chain, leafLoss = nil, o.setAside(leafFile, "not of the key "+keyFile)
	}
	o.ca, o.caKey, o.chain, o.key = ca, caKey, chain, key

	o.config.Alarm(alarmKey, "")
	if key == nil {
		o.newKey()
		if keyLoss.damaged() || chain != nil || ca != nil {
			o.config.Alarm(alarmKey, keyLoss.text+": a new key was made, and devices that pin the public key have to be given the new hash (telemetry-hub certificate show)")
		}
		if chain != nil && !issuedByHub(chain[0]) { // nobody could make it again
			o.setAside(leafFile, "of a key that is lost")
		}
		o.chain = nil
	}
	o.loadCA(caLoss, caKeyLoss, chain)
	o.config.Alarm(alarmLeaf, "")
	if leafLoss.damaged() {
		notice := "devices that trust the CA or pin the public key are not affected"
		if ca == nil && caKey == nil {
			notice = "install the CA on the devices that trusted it: " + o.path(caFile)
		}
		o.config.Alarm(alarmLeaf, leafLoss.text+": a new certificate was made; "+notice)
	}
	_, bad := o.config.wanted()
	for _, name := range bad {
		o.config.Logger.Warn("no certificate can have this name; write an international one as browsers send it (xn--…)", "name", name)
	}
	for _, name := range []string{keyFile, caKeyFile} {
		warnOfOpenKey(o.config, o.path(name))
	}
	if reason := o.stale(); reason != "" {
		if err := o.issue(reason); err != nil {
			return nil, err
		}
	}
	o.save()
	o.report()
	return o.served(), nil
}

// loadCA makes a CA if there is none, and says what is wrong with the one there is. chain is the certificate as it was found.
func (o *own) loadCA(caLoss, keyLoss loss, chain []*x509.Certificate) {
	o.config.Alarm(alarmCA, "")
	switch {
	case o.ca != nil && o.caKey != nil:
	case o.ca != nil:
		o.config.Alarm(alarmCA, keyLoss.text+": the certificate can't be renewed any more. Put "+caKeyFile+" of a backup there and reload the hub, or run "+
			"telemetry-hub certificate renew, which makes a new CA: install it on all devices that trust the old one")
	case o.caKey != nil:
		o.makeCA()
		if caLoss.damaged() {
			o.config.Alarm(alarmCA, caLoss.text+": it was made again from its key, and devices that have the old one are not affected")
		}
	default:
		why := ""
		if caLoss.damaged() || keyLoss.damaged() || chain != nil && issuedByHub(chain[0]) {
			why = "the CA that signed the hub's certificate is lost (" + caLoss.text + "; " + keyLoss.text + ")"
		}
		o.newCA(why)
	}
}

// check renews the certificate if it has to be, and tries again what failed.
func (o *own) check() *served {
	if reason := o.stale(); reason != "" {
		if err := o.issue(reason); err != nil {
			o.config.Logger.Error("the certificate could not be renewed", "error", err)
		}
	}
	o.save()
	o.report()
	return o.served()
}

func (o *own) renew() (*served, error) {
	o.config.Alarm(alarmLeaf, "")
	if o.caKey == nil {
		o.config.Alarm(alarmCA, "")
		o.replaceCA("")
	}
	old := o.chain
	o.chain = nil // with the names that the machine has no longer
	if err := o.issue("it was requested"); err != nil {
		o.chain = old
		return nil, err
	}
	o.save()
	o.report()
	return o.served(), nil
}

// issued reports whether the certificate was signed by the present CA.
func (o *own) issued() bool {
	return o.chain != nil && o.ca != nil && o.chain[0].CheckSignatureFrom(o.ca) == nil
}

// stale says why the certificate has to be replaced, "" if it need not be.
func (o *own) stale() string {
	if o.chain == nil {
		return "there was none"
	}
	leaf := o.chain[0]
	if !issuedByHub(leaf) {
		return ""
	}
	reason := ""
	now := o.config.Now()
	switch want, _ := o.config.wanted(); {
	case !o.issued():
		return "its CA has changed"
	case wrongDates(leaf, now):
		reason = "of its dates"
	default:
		if name := want.missing(leaf); name != "" {
			reason = "it lacks " + name
		}
	}
	if o.caKey == nil && now.After(leaf.NotBefore) && now.Before(leaf.NotAfter) {
		return "" // nobody can sign another under the CA that devices have, and it still works
	}
	return reason
}

// report says what is wrong with a certificate that the hub has but did not sign, and so does not renew.
func (o *own) report() {
	leaf, text := o.chain[0], ""
	switch now := o.config.Now(); {
	case issuedByHub(leaf):
	case selfSigned(leaf):
		is := "is"
		if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
			is = "by the hub's clock is not"
		}
		text = fmt.Sprintf("the hub has the self-signed certificate of an older version, %s, which is not renewed, and %s valid (%s to %s). "+
			"Install %s on the devices that trust it, then run telemetry-hub certificate renew; devices that pin the public key are not affected",
			o.path(leafFile), is, date(leaf.NotBefore), date(leaf.NotAfter), o.path(caFile))
	default:
		text = wrongNow(o.path(leafFile), leaf, now)
	}
	o.config.Alarm(alarmUse, text)
}

func (o *own) served() *served {
	s := &served{pair: tls.Certificate{PrivateKey: o.key, Leaf: o.chain[0]}, trustFile: o.path(leafFile)}
	for _, c := range o.chain {
		s.pair.Certificate = append(s.pair.Certificate, c.Raw)
	}
	if o.issued() {
		s.ca, s.trustFile = o.ca, o.path(caFile)
	}
	return s
}

// Stored describes the certificate that the hub of dataDir keeps itself, and changes nothing. It returns ErrNone if it has none.
func Stored(dataDir string) (Info, error) {
	o := &own{dir: filepath.Join(dataDir, "tls")}
	text, err := readFile(o.path(leafFile))
	if os.IsNotExist(err) {
		return Info{}, ErrNone
	}
	if err == nil {
		o.chain, err = parseChain(text)
	}
	if err != nil {
		return Info{}, fmt.Errorf("%s is damaged, the hub replaces it when it starts: %w", o.path(leafFile), err)
	}
	if text, err = readFile(o.path(caFile)); err == nil {
		o.ca, _ = parseCA(text)
	}
	return o.served().info(), nil
}

func sameKey(c *x509.Certificate, key crypto.Signer) bool {
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	return err == nil && bytes.Equal(public, c.RawSubjectPublicKeyInfo)
}
