package api

import (
	"net/http"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

const (
	defaultEvents = 100
	maxEvents     = 1000 // in one answer

	// answerTime is how long a reader may take for an answer that may be large.
	answerTime = time.Minute
)

func (a *API) serveHub(w http.ResponseWriter, r *http.Request, _ Caller) {
	if a.noQuery(w, r) {
		Answer(w, http.StatusOK, a.feed.Hub())
	}
}

// Certificate is the hub's certificate.
type Certificate struct {
	Names       []string `json:"names"`        // host names, then addresses
	Fingerprint string   `json:"fingerprint"`  // SHA-256 of the certificate in hex; another one after each renewal
	PublicKey   string   `json:"public_key"`   // SHA-256 of its public key (SubjectPublicKeyInfo) in hex; stays over renewals
	PEM         string   `json:"pem"`          // with its chain
	NotBefore   int64    `json:"not_before"`   // ms since 1970
	NotAfter    int64    `json:"not_after"`    // ms since 1970
	SelfSigned  bool     `json:"self_signed"`  // nobody else signed it: it has to be trusted itself
	CA          string   `json:"ca,omitempty"` // PEM of the hub's own CA, which signed it; absent: another did
}

// certificateInfo is the certificate in use or, where no hub runs, the one that it keeps in its data directory.
func (a *API) certificateInfo() (certificate.Info, error) {
	if a.certificate != nil {
		return a.certificate.Info(), nil
	}
	return certificate.Stored(a.store.Dir())
}

func (a *API) serveCertificate(w http.ResponseWriter, r *http.Request, _ Caller) {
	if !a.noQuery(w, r) {
		return
	}
	info, err := a.certificateInfo()
	if err != nil {
		a.Failed(w, err)
		return
	}
	Answer(w, http.StatusOK, describeCertificate(&info))
}

func describeCertificate(c *certificate.Info) Certificate {
	out := Certificate{
		Names: c.Names, Fingerprint: c.Fingerprint, PublicKey: c.PublicKey, PEM: c.PEM,
		NotBefore: Millis(c.NotBefore), NotAfter: Millis(c.NotAfter), SelfSigned: c.SelfSigned,
	}
	if c.CA != nil {
		out.CA = c.CA.PEM
	}
	return out
}

// Events is what happened lately.
type Events struct {
	Epoch  string       `json:"epoch"`  // of the run of the hub that counts the events; another one begins anew
	Events []live.Event `json:"events"` // newest first
}

func (a *API) serveEvents(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	device, after := q.text("device"), q.number("after", -1, 0, 1<<53)
	limit := q.number("limit", defaultEvents, 1, maxEvents)
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	events := a.feed.Events(device, int(limit))
	if after >= 0 {
		events = a.feed.EventsAfter(device, uint64(after), int(limit))
	}
	Answer(w, http.StatusOK, Events{a.feed.Epoch(), events})
}

// noQuery answers with an error, and returns false, if the request has parameters.
func (a *API) noQuery(w http.ResponseWriter, r *http.Request) bool {
	err := readQuery(r).end()
	if err != nil {
		a.Failed(w, err)
	}
	return err == nil
}

// patient gives the reader of what may be a large answer more time than others have.
func patient(w http.ResponseWriter) {
	// A connection without deadlines, as in tests, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
}
