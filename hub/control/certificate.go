package control

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
)

// Certificate describes the hub's certificate; when no hub runs, the one that it keeps itself.
func (c *Client) Certificate(ctx context.Context) (i certificate.Info, err error) {
	return i, c.call(ctx, http.MethodGet, "/certificate", nil, &i)
}

// RenewCertificate has another certificate made, with the same key, in place of the hub's own.
func (c *Client) RenewCertificate(ctx context.Context) (i certificate.Info, err error) {
	return i, c.call(ctx, http.MethodPost, "/certificate/renew", nil, &i)
}

func (c *handler) certificate(w http.ResponseWriter, _ *http.Request) {
	if c.cert != nil {
		answer(w, c.cert.Info())
		return
	}
	info, err := certificate.Stored(c.store.Dir())
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, info)
}

func (c *handler) renewCertificate(w http.ResponseWriter, r *http.Request) {
	cert, err := c.cert, error(nil)
	if cert == nil {
		cert, err = certificate.Open(certificate.Config{DataDir: c.store.Dir(), Logger: slog.New(slog.DiscardHandler)})
	}
	if err == nil {
		err = cert.Renew()
	}
	if err != nil {
		fail(w, err)
		return
	}
	c.auditHub(r, "certificate renewed", "")
	answer(w, cert.Info())
}
