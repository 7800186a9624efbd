package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

const (
	tokenVariable   = envPrefix + "INFLUX_TOKEN"
	tokenCredential = "influx-token" // its name in $CREDENTIALS_DIRECTORY, see systemd.exec(5)
)

// influxFlags adds the flags of [influx]. The token has none: everybody on the machine can read flags.
func influxFlags(f *pflag.FlagSet) {
	f.String("influx-url", "", "export readings to InfluxDB at this `URL`")
	f.String("influx-org", "", "`organization` there (2.x)")
	f.String("influx-bucket", "", "`bucket` there; for 1.8 database or database/retention-policy")
	f.String("influx-token-file", "", "`file` with the token (or env "+tokenVariable+")")
}

// options returns what the store needs to export, nil if it does not.
func (c *influxConfig) options(getenv func(string) string) (*export.Options, error) {
	if c.URL == "" {
		return nil, nil
	}
	o := &export.Options{
		Config:     influx.Config{URL: c.URL, Org: c.Org, Bucket: c.Bucket, Timeout: c.Timeout, CA: c.TLSCA},
		BatchLines: c.BatchLines, BatchBytes: int(c.BatchBytes), FlushInterval: c.FlushInterval,
	}
	switch c.Gzip {
	case "", "auto":
	case "always", "never":
		always := c.Gzip == "always"
		o.Gzip = &always
	default:
		return nil, fmt.Errorf("gzip of [influx]: %q is not one of always, never, auto", c.Gzip)
	}
	token, err := c.token(getenv)
	if err != nil {
		return nil, fmt.Errorf("the token of InfluxDB: %w", err)
	}
	o.Token = token
	if err := o.Check(); err != nil {
		return nil, withHint(err, "see [influx] in systemd/telemetry-hub.toml")
	}
	return o, nil
}

// token reads the token from where it is kept.
func (c *influxConfig) token(getenv func(string) string) (string, error) {
	path := c.TokenFile
	if dir := getenv("CREDENTIALS_DIRECTORY"); path == "" && dir != "" {
		if credential := filepath.Join(dir, tokenCredential); fileExists(credential) {
			path = credential
		}
	}
	if path == "" {
		return getenv(tokenVariable), nil
	}
	b, err := readFile(path)
	return strings.TrimSpace(string(b)), err
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func newInflux() *cobra.Command {
	return group(&cobra.Command{
		Use:   "influx",
		Short: "Prove the connection to InfluxDB",
	}, newInfluxCheck())
}

func newInfluxCheck() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Write a point to InfluxDB and read it back",
		Long: `check proves URL, token and bucket: it writes a point to the measurement
telemetry_hub_check and reads it back. The settings come from where serve has
them: the configuration file, the environment and the flags.`,
		Example: `  telemetry-hub influx check --config /etc/telemetry-hub/telemetry-hub.toml
  telemetry-hub influx check --influx-url http://gateway:8086 --influx-bucket b`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := readConfig(cmd.Flags(), path, os.Environ())
			if err != nil {
				return err
			}
			o, err := cfg.Influx.options(os.Getenv)
			if err != nil {
				return err
			}
			if o == nil {
				return misused(cmd, fmt.Errorf("no URL of InfluxDB is given"))
			}
			language, err := influx.Check(cmd.Context(), o.Config, time.Now())
			if err != nil {
				return fmt.Errorf("%s: %w", o.URL, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s takes readings: a point was written to bucket %s and read back with %s\n", o.URL, o.Bucket, language)
			return err
		},
	}
	influxFlags(cmd.Flags())
	configFlag(cmd, &path)
	return cmd
}

// fillExport says the state of the export, if there is one.
func fillExport(t *render.Table, e *api.ExportStatus, now time.Time) {
	if e == nil {
		return
	}
	since := ""
	if e.Since != 0 && e.State != "reachable" {
		since = " since " + render.Stamp(e.Since.Time())
	}
	t.Field("export", "%s%s, bucket %s at %s", e.State, since, e.Bucket, e.URL)
	t.Text("", e.Reason)
	if e.NextTry != 0 {
		t.Field("", "next try at %s", render.Stamp(e.NextTry.Time()))
	}
	if e.Sample != "" {
		t.Text("", "for example: "+e.Sample)
	}
	t.Field("", "%s lines written, %s refused, see dead-letters list", render.Grouped(e.Lines), render.Grouped(e.Refused))
	if n := e.NotFinite + e.OutOfTime; n > 0 {
		t.Field("", "%s readings left out: %s not finite, %s out of InfluxDB's time", render.Grouped(n), render.Grouped(e.NotFinite), render.Grouped(e.OutOfTime))
	}
	if e.Dropped > 0 {
		t.Field("", "%s journal entries dropped before they were exported", render.Grouped(e.Dropped))
	}
	if e.Waiting.Entries > 0 {
		t.Field("", "%s frames (%s) wait, the oldest %s", render.Grouped(e.Waiting.Entries), render.Bytes(e.Waiting.Bytes), render.Ago(e.Waiting.Oldest.Time(), now))
		if e.Done != 0 {
			t.Field("", "%.0f a second go out; none will wait at %s", e.Rate, render.Stamp(e.Done.Time()))
		}
	}
	if e.Horizon != 0 {
		t.Field("", "without InfluxDB, the journal would hold out until %s;", render.Stamp(e.Horizon.Time()))
		t.Field("", "then the oldest go first, received from %s on", render.Stamp(e.DropsFrom.Time()))
	}
}
