package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// serviceDataDir is where the systemd unit keeps its data.
const serviceDataDir = "/var/lib/telemetry-hub"

// hubFlags say which hub a command is about.
type hubFlags struct {
	dataDir, config  string
	url, keyFile, ca string // of a hub elsewhere
}

func (h *hubFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&h.dataDir, "data-dir", os.Getenv(envPrefix+"DATA_DIR"),
		"the hub's data `directory` (env "+envPrefix+"DATA_DIR, or that of --config, or "+serviceDataDir+")")
	_ = cmd.MarkFlagDirname("data-dir")
	configFlag(cmd, &h.config)
	cmd.Flags().StringVar(&h.url, "url", "", "a hub elsewhere, `https://HOST:PORT`, instead of one on this machine")
	cmd.Flags().StringVar(&h.keyFile, "key-file", "", "`file` with an API key of the hub at --url")
	cmd.Flags().StringVar(&h.ca, "ca", "", "`file` (PEM) with the CA of the hub at --url, if the system does not know it")
	_ = cmd.MarkFlagFilename("key-file")
	_ = cmd.MarkFlagFilename("ca", "pem")
}

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", os.Getenv(envPrefix+"CONFIG"), "configuration `file` (TOML, env "+envPrefix+"CONFIG)")
	_ = cmd.MarkFlagFilename("config", "toml")
}

// dir is the data directory that is meant.
func (h *hubFlags) dir() (string, error) {
	if h.dataDir != "" {
		return h.dataDir, nil
	}
	if h.config == "" {
		return serviceDataDir, nil
	}
	c, err := readConfig(pflag.NewFlagSet("", pflag.ContinueOnError), h.config, nil)
	if err != nil || c.DataDir == "" {
		return serviceDataDir, err
	}
	return c.DataDir, nil
}

// check returns an error for flags that do not go together.
func (h *hubFlags) check(cmd *cobra.Command) error {
	switch {
	case h.url != "" && cmd.Flags().Changed("data-dir"):
		return misused(cmd, errors.New("--url goes without --data-dir"))
	case h.url != "" && h.keyFile == "":
		return misused(cmd, errors.New("--url needs --key-file"))
	case h.url == "" && (h.keyFile != "" || h.ca != ""):
		return misused(cmd, errors.New("--key-file and --ca go with --url"))
	}
	return nil
}

// remote returns a client of the hub at --url.
func (h *hubFlags) remote() (*client.Client, error) {
	text, err := readFile(h.keyFile)
	if err != nil {
		return nil, err
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("%s has no API key", h.keyFile)
	}
	var roots *x509.CertPool
	if h.ca != "" {
		pem, err := readFile(h.ca)
		if err != nil {
			return nil, err
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in PEM", h.ca)
		}
	}
	c, err := client.Remote(h.url, key, roots)
	if err != nil {
		return nil, &codedError{fmt.Errorf("--url: %w", err), exitUsage}
	}
	return c, nil
}

// readFile reads a small file that may begin with a byte order mark.
func readFile(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if b, err = text.UTF8(b); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// choice is a flag with one of some values.
type choice struct {
	to    *string
	kind  string // a letter, for --help
	among []string
}

func (c *choice) String() string { return *c.to }
func (c *choice) Type() string   { return c.kind }
func (c *choice) Set(s string) error {
	if !slices.Contains(c.among, s) {
		return fmt.Errorf("there are %s", strings.Join(c.among, ", "))
	}
	*c.to = s
	return nil
}

// choiceFlag adds a flag with one of some values.
func choiceFlag(cmd *cobra.Command, to *string, name, kind string, among ...string) {
	cmd.Flags().Var(&choice{to, kind, among}, name, strings.Join(among, ", "))
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(among, cobra.ShellCompDirectiveNoFileComp))
}

// formatFlag adds --format.
func formatFlag(cmd *cobra.Command, format *string) {
	*format = render.FormatTable
	choiceFlag(cmd, format, "format", "F", render.FormatTable, render.FormatJSON, render.FormatCSV)
}

// past is a flag with a duration that says how long ago something was.
type past struct {
	to   *time.Time
	text string
}

func (p *past) String() string { return p.text }
func (p *past) Type() string   { return "duration" }
func (p *past) Set(s string) error {
	d, err := parseDuration(s)
	if err != nil || d <= 0 {
		return fmt.Errorf("%q is not a duration like 90s, 1h or 7d", s)
	}
	p.text, *p.to = s, time.Now().Add(-d)
	return nil
}

// filterFlags adds --since and --limit.
func filterFlags(cmd *cobra.Command, f *client.Filter) {
	cmd.Flags().Var(&past{to: &f.Since}, "since", "no older than this: 90s, 1h, 7d")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "how many at most")
}

// once is a flag with one value: another one would replace it without a word.
type once struct {
	pflag.Value
	given string // "": not yet
}

func (o *once) Set(s string) error {
	if o.given != "" && o.given != s { // completion parses a command line twice
		return fmt.Errorf("it is %s already", o.given)
	}
	o.given = s
	return o.Value.Set(s)
}

// refuseRepeats has all flags of a command, and of those below it, refuse a second value where there can be only one.
func refuseRepeats(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, many := f.Value.(pflag.SliceValue); !many {
			f.Value = &once{Value: f.Value}
		}
	})
	for _, sub := range cmd.Commands() {
		refuseRepeats(sub)
	}
}
