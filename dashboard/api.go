package dashboard

import (
	_ "embed"
	"net/http"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
)

const (
	defaultEvents = 100
	maxEvents     = 1000 // in one answer

	// answerTime is how long a reader may take for an answer that may be large.
	answerTime = time.Minute
)

//go:embed openapi.json
var openAPI []byte

func (d *Dashboard) apiRoutes() {
	d.mux.HandleFunc("GET /api/v1/openapi.json", d.serveOpenAPI)
	d.mux.HandleFunc("GET /api/v1/hub", d.require(store.RoleViewer, d.serveHub))
	d.mux.HandleFunc("GET /api/v1/certificate", d.require(store.RoleViewer, d.serveCertificate))
	d.mux.HandleFunc("GET /api/v1/events", d.require(store.RoleViewer, d.serveHubEvents))
	d.mux.HandleFunc("GET /api/v1/devices", d.require(store.RoleViewer, d.serveDevices))
	d.mux.HandleFunc("POST /api/v1/devices", d.require(store.RoleAdmin, d.addDevice))
	d.mux.HandleFunc("GET /api/v1/devices/{id}", d.require(store.RoleViewer, d.serveDevice))
	d.mux.HandleFunc("DELETE /api/v1/devices/{id}", d.require(store.RoleAdmin, d.removeDevice))
	d.mux.HandleFunc("POST /api/v1/devices/{id}/rotate", d.require(store.RoleAdmin, d.rotateToken))
	d.mux.HandleFunc("POST /api/v1/devices/{id}/revoke", d.require(store.RoleAdmin, d.revokeDevice))
	d.mux.HandleFunc("GET /api/v1/devices/{id}/readings", d.require(store.RoleViewer, d.serveReadings))
	d.mux.HandleFunc("GET /api/v1/dead-letters", d.require(store.RoleViewer, d.serveDeadLetters))
	d.mux.HandleFunc("DELETE /api/v1/dead-letters", d.require(store.RoleAdmin, d.dropDeadLetters))
	d.mux.HandleFunc("POST /api/v1/dead-letters/replay", d.require(store.RoleAdmin, d.replayDeadLetters))
	d.mux.HandleFunc(apiRest, d.noRoute)
}

// apiRest matches what no other pattern of the API does.
const apiRest = "/api/"

// noRoute answers 405 for a path that is there for other methods, else 404.
func (d *Dashboard) noRoute(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := *r
		other.Method = method
		if _, pattern := d.mux.Handler(&other); pattern != apiRest {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		fail(w, http.StatusNotFound, "there is nothing at "+r.URL.Path, "/api/v1/openapi.json describes what there is")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	fail(w, http.StatusMethodNotAllowed, r.Method+" is not possible here", "possible are "+strings.Join(allowed, ", "))
}

// serveOpenAPI is open to everybody, as it is in the source.
func (d *Dashboard) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(openAPI)
}

func (d *Dashboard) serveHub(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	if d.noQuery(w, r) {
		answer(w, http.StatusOK, d.feed.Hub())
	}
}

// certificateAnswer is the hub's certificate.
type certificateAnswer struct {
	Names       []string `json:"names"`        // host names, then addresses
	Fingerprint string   `json:"fingerprint"`  // SHA-256 of the certificate in hex; another one after each renewal
	PublicKey   string   `json:"public_key"`   // SHA-256 of its public key (SubjectPublicKeyInfo) in hex; stays over renewals
	PEM         string   `json:"pem"`          // with its chain
	NotBefore   int64    `json:"not_before"`   // ms since 1970
	NotAfter    int64    `json:"not_after"`    // ms since 1970
	SelfSigned  bool     `json:"self_signed"`  // nobody else signed it: it has to be trusted itself
	CA          string   `json:"ca,omitempty"` // PEM of the hub's own CA, which signed it; absent: another did
}

func (d *Dashboard) serveCertificate(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	if d.noQuery(w, r) {
		c := d.certificate.Info()
		out := certificateAnswer{
			Names: c.Names, Fingerprint: c.Fingerprint, PublicKey: c.PublicKey, PEM: c.PEM,
			NotBefore: millis(c.NotBefore), NotAfter: millis(c.NotAfter), SelfSigned: c.SelfSigned,
		}
		if c.CA != nil {
			out.CA = c.CA.PEM
		}
		answer(w, http.StatusOK, out)
	}
}

// eventsAnswer is what happened lately.
type eventsAnswer struct {
	Epoch  string       `json:"epoch"`  // of the run of the hub that counts the events; another one begins anew
	Events []live.Event `json:"events"` // newest first
}

func (d *Dashboard) serveHubEvents(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	q := readQuery(r)
	device, after := q.text("device"), q.number("after", -1, 0, 1<<53)
	limit := q.number("limit", defaultEvents, 1, maxEvents)
	if err := q.end(); err != nil {
		d.failed(w, err)
		return
	}
	events := d.feed.Events(device, int(limit))
	if after >= 0 {
		events = d.feed.EventsAfter(device, uint64(after), int(limit))
	}
	answer(w, http.StatusOK, eventsAnswer{d.feed.Epoch(), events})
}

// noQuery answers with an error, and returns false, if the request has parameters.
func (d *Dashboard) noQuery(w http.ResponseWriter, r *http.Request) bool {
	q := readQuery(r)
	err := q.end()
	if err != nil {
		d.failed(w, err)
	}
	return err == nil
}

// patient gives the reader of what may be a large answer more time than others have.
func patient(w http.ResponseWriter) {
	// A connection without deadlines, as in tests, needs none.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
}
