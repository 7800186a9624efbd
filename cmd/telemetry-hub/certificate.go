package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/control"
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
	var asJSON bool
	var dir *string
	cmd := &cobra.Command{
		Use:   "show [--json]",
		Short: "Print the certificate's names and dates, and what a device trusts or pins",
		Example: `  telemetry-hub certificate show
  telemetry-hub certificate show --json | jq -r .public_key`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, *dir, reading, func(ctx context.Context, c *control.Client) error {
				info, err := c.Certificate(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), info)
				}
				return printCertificate(cmd.OutOrStdout(), &info)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	dir = dataDirFlag(cmd)
	return cmd
}

func newCertificateRenew() *cobra.Command {
	var dir *string
	cmd := &cobra.Command{
		Use:   "renew",
		Short: "Make another certificate now, with the same key",
		Long: `renew makes another certificate under the hub's own CA, with the key there is,
and prints it. The hub does so by itself, with one exception: the certificate of
a version without a CA stays until this command, because the devices that were
given it have to be given the CA, DIR/tls/ca.pem, before. If the CA's key is
lost, a new CA is made, which has to be given to the devices, too.`,
		Example: "  telemetry-hub certificate renew",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHub(cmd, *dir, existing, func(ctx context.Context, c *control.Client) error {
				info, err := c.RenewCertificate(ctx)
				if err != nil {
					return err
				}
				return printCertificate(cmd.OutOrStdout(), &info)
			})
		},
	}
	dir = dataDirFlag(cmd)
	return cmd
}

func printCertificate(w io.Writer, i *certificate.Info) error {
	t := newTable(w)
	row := func(name, format string, args ...any) { t.row(name, fmt.Sprintf(format, args...)) }
	name := "names"
	for line := range wrapped(strings.Join(i.Names, ", "), statusText) {
		row(name, "%s", line)
		name = ""
	}
	row("valid", "%s to %s", stamp(i.NotBefore), stamp(i.NotAfter))
	row("sha256", "%s", i.Fingerprint)
	row("public key", "%s", i.PublicKey)
	row("", "a device that pins this hash, of SubjectPublicKeyInfo, needs no CA")
	if pin, err := hex.DecodeString(i.PublicKey); err == nil {
		row("", "curl --insecure --pinnedpubkey sha256//%s", base64.StdEncoding.EncodeToString(pin))
	}
	switch {
	case i.CA != nil:
		row("CA", "%s, to %s", i.TrustFile, stamp(i.CA.NotAfter))
		row("", "%s", i.CA.Fingerprint)
		row("", "a device that trusts it is given this file")
	case i.SelfSigned:
		row("CA", "none: it signed itself, and devices are given %s", i.TrustFile)
	default:
		row("CA", "another's, not the hub's own")
	}
	return t.flush()
}
