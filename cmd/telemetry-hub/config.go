package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	koanftoml "github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"github.com/telemetry-hub/telemetry-hub/device/text"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/store"
)

const envPrefix = "TELEMETRY_HUB_"

// config is all settings of serve. A key of the file is the field's tag, in the table of its struct; the
// environment has it as TELEMETRY_HUB_TABLE_KEY. systemd/telemetry-hub.toml explains every key.
type config struct {
	DataDir  string        `key:"data_dir"`
	Listen   string        `key:"listen"`
	Names    string        `key:"names"`
	Origins  string        `key:"cors_origins"`
	TLSCert  string        `key:"tls_cert"`
	TLSKey   string        `key:"tls_key"`
	LogLevel slog.Level    `key:"log_level"`
	Journal  journalConfig `key:"journal"`
	History  historyConfig `key:"history"`
	Influx   influxConfig  `key:"influx"`
	Limits   limitsConfig  `key:"limits"`
}

type journalConfig struct {
	CommitWindow time.Duration `key:"commit_window"`
	MaxBytes     byteSize      `key:"max_bytes"`
	MaxAge       age           `key:"max_age"`
}

type historyConfig struct {
	MaxBytes byteSize `key:"max_bytes"`
	MaxAge   age      `key:"max_age"`
}

// influxConfig says where readings are exported to; without a URL they are not.
type influxConfig struct {
	URL           string        `key:"url"`
	Org           string        `key:"org"`
	Bucket        string        `key:"bucket"`
	TokenFile     string        `key:"token_file"`
	Timeout       time.Duration `key:"timeout"`
	TLSCA         string        `key:"tls_ca"`
	Gzip          string        `key:"gzip"`
	BatchLines    int           `key:"batch_lines"`
	BatchBytes    byteSize      `key:"batch_bytes"`
	FlushInterval time.Duration `key:"flush_interval"`
}

// limitsConfig is hub.Limits with keys: the conversion in hubLimits compiles only while their fields agree.
type limitsConfig struct {
	Connections           int           `key:"connections"`
	ConnectionsPerAddress int           `key:"connections_per_address"`
	PendingConnections    int           `key:"pending_connections"`
	TLSHandshakes         int           `key:"tls_handshakes"`
	HandshakeTimeout      time.Duration `key:"handshake_timeout"`
	ConnectsPerDevice     float64       `key:"connects_per_device"`
	FailuresPerAddress    float64       `key:"failures_per_address"`
	FramesPerSecond       float64       `key:"frames_per_second"`
	FrameBurst            int           `key:"frame_burst"`
	ControlsPerSecond     float64       `key:"controls_per_second"`
	WindowFrames          int           `key:"window_frames"`
	WindowBytes           int           `key:"window_bytes"`
	Idle                  time.Duration `key:"idle"`
	WriteTimeout          time.Duration `key:"write_timeout"`
}

// names are those the hub is reached by besides the machine's own.
func (c *config) names() []string {
	return strings.FieldsFunc(c.Names, func(r rune) bool { return r == ',' || r == ' ' })
}

// origins are those whose pages may use the API.
func (c *config) origins() []string {
	return strings.FieldsFunc(c.Origins, func(r rune) bool { return r == ',' || r == ' ' })
}

func (c *config) hubLimits() hub.Limits { return hub.Limits(c.Limits) }

func (c *config) storeOptions(log *slog.Logger) store.Options {
	return store.Options{
		Dir: c.DataDir, CommitWindow: c.Journal.CommitWindow, Logger: log,
		JournalMaxBytes: int64(c.Journal.MaxBytes), JournalMaxAge: time.Duration(c.Journal.MaxAge),
		HistoryMaxBytes: int64(c.History.MaxBytes), HistoryMaxAge: time.Duration(c.History.MaxAge),
	}
}

// retired are keys that mean nothing any more. A file that still sets one must not keep the hub from starting.
var retired = []string{"limits.handshakes_per_second"}

// source is one place settings come from.
type source struct {
	name  string // for errors
	flags bool   // a mistake in it is one of the command line
	load  func(*koanf.Koanf) error
}

// loadConfig reads the settings of a hub, which needs a data directory.
func loadConfig(flags *pflag.FlagSet, path string, environ []string) (*config, error) {
	c, err := readConfig(flags, path, environ)
	if err != nil {
		return nil, err
	}
	if c.DataDir == "" {
		// systemd names the directories of the unit; the first is the hub's.
		c.DataDir, _, _ = strings.Cut(os.Getenv("STATE_DIRECTORY"), ":")
	}
	if c.DataDir == "" {
		return nil, &codedError{withHint(errors.New("no data directory was given"), "use --data-dir DIR, or set %sDATA_DIR", envPrefix), exitUsage}
	}
	return c, nil
}

// readConfig merges the file, the environment and the flags that were given; each overrides those before it.
func readConfig(flags *pflag.FlagSet, path string, environ []string) (*config, error) {
	c := &config{Listen: ":8443"}
	fields := map[string]any{}
	addFields(fields, "", reflect.ValueOf(c).Elem())

	sources := []source{
		{"the environment", false, func(k *koanf.Koanf) error { return k.Load(environment(fields, environ), nil) }},
		{"the command line", true, func(k *koanf.Koanf) error { return k.Load(commandLine(fields, flags), nil) }},
	}
	if path != "" {
		sources = slices.Insert(sources, 0, source{path, false, func(k *koanf.Koanf) error { return loadFile(k, path) }})
	}
	for _, s := range sources {
		k := koanf.New(".")
		if err := s.load(k); err != nil {
			return nil, err
		}
		for _, key := range k.Keys() {
			if slices.Contains(retired, key) {
				continue
			}
			field, ok := fields[key]
			if table, empty := k.Get(key).(map[string]any); empty && len(table) == 0 && isTable(key, fields) {
				continue
			}
			if !ok {
				return nil, unknownKey(s.name, key, fields)
			}
			err := setField(field, k.Get(key))
			if err == nil {
				err = checkRange(key, field, k.Get(key))
			}
			if err != nil {
				err = fmt.Errorf("%s: %s: %w", s.name, key, err)
				if s.flags {
					err = &codedError{err, exitUsage}
				}
				return nil, err
			}
		}
	}
	return c, nil
}

func addFields(fields map[string]any, prefix string, v reflect.Value) {
	for i := range v.NumField() {
		key := prefix + v.Type().Field(i).Tag.Get("key")
		if f := v.Field(i); f.Kind() == reflect.Struct {
			addFields(fields, key+".", f)
		} else {
			fields[key] = f.Addr().Interface()
		}
	}
}

// tomlFile reads TOML from files that begin with a byte order mark, too.
type tomlFile struct{ *koanftoml.TOML }

func (p tomlFile) Unmarshal(b []byte) (map[string]any, error) {
	b, err := text.UTF8(b)
	if err != nil {
		return nil, err
	}
	return p.TOML.Unmarshal(b)
}

func loadFile(k *koanf.Koanf, path string) error {
	err := k.Load(file.Provider(path), tomlFile{koanftoml.Parser()})
	if e, ok := errors.AsType[*toml.DecodeError](err); ok {
		row, column := e.Position()
		return fmt.Errorf("%s:%d:%d: %w", path, row, column, e)
	}
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	return nil
}

// serviceLink matches what Kubernetes puts into every container's environment for a service called telemetry-hub.
var serviceLink = regexp.MustCompile(`^(SERVICE_HOST|SERVICE_PORT.*|PORT|PORT_[0-9]+_(TCP|UDP).*)$`)

func environment(fields map[string]any, environ []string) koanf.Provider {
	keys := map[string]string{}
	for _, key := range slices.AppendSeq(slices.Clone(retired), maps.Keys(fields)) {
		keys[strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = key
	}
	return env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			short := strings.TrimPrefix(name, envPrefix)
			if key, ok := keys[short]; ok {
				return key, value
			}
			if short == "CONFIG" || name == tokenVariable || serviceLink.MatchString(short) {
				return "", nil
			}
			return name, value // an unknown key, reported under this name
		},
	})
}

func commandLine(fields map[string]any, flags *pflag.FlagSet) koanf.Provider {
	return posflag.ProviderWithFlag(flags, ".", nil, func(f *pflag.Flag) (string, any) {
		key := strings.ReplaceAll(f.Name, "-", "_")
		if _, ok := fields[key]; !ok {
			key = strings.Replace(key, "_", ".", 1) // --influx-url is url of [influx]
		}
		if _, ok := fields[key]; !ok {
			return "", nil // --config, --help
		}
		return key, f.Value.String()
	})
}

func isTable(key string, fields map[string]any) bool {
	for k := range fields {
		if strings.HasPrefix(k, key+".") {
			return true
		}
	}
	return false
}

func unknownKey(where, key string, fields map[string]any) error {
	err := fmt.Errorf("%s: unknown key %s", where, key)
	if strings.HasPrefix(key, envPrefix) {
		return withHint(err, "a key of the file is spelled %sTABLE_KEY in the environment", envPrefix)
	}
	table := key[:strings.LastIndexByte(key, '.')+1]
	var known []string
	for k := range fields {
		if rest, ok := strings.CutPrefix(k, table); ok && !strings.Contains(rest, ".") {
			known = append(known, rest)
		}
	}
	if len(known) == 0 {
		return withHint(err, "tables are [journal], [history], [influx] and [limits]")
	}
	slices.Sort(known)
	if table == "" {
		return withHint(err, "keys outside of tables are %s", strings.Join(known, ", "))
	}
	return withHint(err, "keys of [%s] are %s", strings.TrimSuffix(table, "."), strings.Join(known, ", "))
}
