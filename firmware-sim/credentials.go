package firmwaresim

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

const (
	maxCredentialLine = 1 << 10 // bytes; a device name and a token are far shorter
	maxCredentials    = 1 << 20 // devices in one file
)

// Credential is what one device proves itself with.
type Credential struct {
	Device string // id in the hub's registry
	Token  string // secret; never logged
}

// ReadCredentials reads a file as `telemetry-hub device add --output` writes it.
func ReadCredentials(path string) ([]Credential, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, problem("telemetry-hub device add --count N --prefix P --output "+path+" writes one", "%w", err)
	}
	defer f.Close()
	creds, err := ParseCredentials(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return creds, nil
}

// ParseCredentials reads CSV with the header device,token. Every device may stand there once. Errors name the line and
// never quote a token.
func ParseCredentials(r io.Reader) ([]Credential, error) {
	rows := newRecordReader(text.NewReader(r), ',', maxCredentialLine)
	header, _, err := rows.next()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("empty file, the first line must be device,token")
	}
	if err != nil {
		return nil, withoutQuote(err)
	}
	if len(header) != 2 || strings.TrimSpace(header[0]) != "device" || strings.TrimSpace(header[1]) != "token" {
		return nil, errors.New("line 1: the header must be device,token")
	}
	var creds []Credential
	seen := make(map[string]bool)
	for {
		record, line, err := rows.next()
		if errors.Is(err, io.EOF) {
			return creds, nil
		}
		if err != nil {
			return nil, withoutQuote(err)
		}
		if len(record) != 2 {
			return nil, fmt.Errorf("line %d: %d columns, expected device,token", line, len(record))
		}
		c := Credential{Device: strings.TrimSpace(record[0]), Token: strings.TrimSpace(record[1])}
		switch {
		case c.Device == "" || len(c.Device) > device.MaxName:
			return nil, fmt.Errorf("line %d: a device name has 1 to %d bytes", line, device.MaxName)
		case c.Token == "":
			return nil, fmt.Errorf("line %d: device %q has no token", line, c.Device)
		case seen[c.Device]:
			return nil, fmt.Errorf("line %d: device %q appears twice", line, c.Device)
		case len(creds) == maxCredentials:
			return nil, fmt.Errorf("line %d: more than %d devices", line, maxCredentials)
		}
		seen[c.Device] = true
		// The record's memory is reused by the reader.
		creds = append(creds, Credential{Device: strings.Clone(c.Device), Token: strings.Clone(c.Token)})
	}
}

// first returns the first n credentials.
func first(creds []Credential, n int) ([]Credential, error) {
	if n < 1 {
		return nil, fmt.Errorf("%d devices: at least one is needed", n)
	}
	if n > len(creds) {
		return nil, problem("telemetry-hub device add --count makes more of them",
			"%d devices asked for, the credentials file has %d", n, len(creds))
	}
	return creds[:n], nil
}

// credentialOf returns the credential of one device.
func credentialOf(creds []Credential, id string) (Credential, error) {
	for _, c := range creds {
		if c.Device == id {
			return c, nil
		}
	}
	return Credential{}, problem("telemetry-hub device list shows the devices, device rotate gives one a new token",
		"device %q is not in the credentials file", id)
}

// withoutQuote keeps the place of a CSV error and drops the rest of it.
func withoutQuote(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("line %d: %w", parse.Line, parse.Err)
	}
	return err
}
