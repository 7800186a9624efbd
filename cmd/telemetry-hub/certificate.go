package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
)

func newCertificate() *cobra.Command {
	return group(&cobra.Command{
		Use:   "certificate",
		Short: "Show and renew the certificate that devices know the hub by",
		Long: `Without --tls-cert, the hub has a small CA of its own, and under it a
certificate that it renews by itself: in time, when its clock was set, and when
the machine got another name or address. A device trusts the CA, or pins the
public key, which stays the same.`,
	}, newCertificateShow(), newCertificateRenew())
}

func newCertificateShow() *cobra.Command {
	return printing(&cobra.Command{
		Use:   "show [--format F]",
		Short: "Print the certificate's names and dates, and what a device trusts or pins",
		Example: `  telemetry-hub certificate show
  telemetry-hub certificate show --format json | jq -r .public_key`,
		Args: exactArgs(),
	}, &hubFlags{}, reading, func(ctx context.Context, c *client.Client, _ []string) (api.Certificate, error) {
		return c.Certificate(ctx)
	}, inFields(fillCertificate))
}

func newCertificateRenew() *cobra.Command {
	return printing(&cobra.Command{
		Use:   "renew [--format F]",
		Short: "Make another certificate now, with the same key",
		Long: `renew makes another certificate under the hub's own CA, with the key there is,
and prints it. The hub does so by itself, with one exception: the certificate of
a version without a CA stays until this command, because the devices that were
given it have to be given the CA, DIR/tls/ca.pem, before. If the CA's key is
lost, a new CA is made, which has to be given to the devices, too.`,
		Example: "  telemetry-hub certificate renew",
		Args:    exactArgs(),
	}, &hubFlags{}, existing, func(ctx context.Context, c *client.Client, _ []string) (api.Certificate, error) {
		return c.RenewCertificate(ctx)
	}, inFields(fillCertificate))
}

func fillCertificate(t *render.Table, i *api.Certificate) {
	t.Text("names", strings.Join(i.Names, ", "))
	t.Field("valid", "%s to %s", render.Stamp(i.NotBefore.Time()), render.Stamp(i.NotAfter.Time()))
	t.Field("sha256", "%s", i.Fingerprint)
	t.Field("public key", "%s", i.PublicKey)
	t.Field("", "a device that pins this hash, of SubjectPublicKeyInfo, needs no CA")
	if pin, err := hex.DecodeString(i.PublicKey); err == nil {
		t.Field("", "curl --insecure --pinnedpubkey sha256//%s", base64.StdEncoding.EncodeToString(pin))
	}
	switch {
	case i.CA != "":
		t.Field("CA", "%s, to %s", i.TrustFile, render.Stamp(i.CANotAfter.Time()))
		t.Field("", "%s", i.CAFingerprint)
		t.Field("", "a device that trusts it is given this file")
	case i.SelfSigned:
		t.Field("CA", "none: it signed itself, and devices are given %s", i.TrustFile)
	default:
		t.Field("CA", "another's, not the hub's own")
	}
}
