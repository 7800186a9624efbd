package firmwaresim

import (
	"context"
	"os"
)

// benchHub is a hub that is measured, in a directory of its own, with devices registered.
type benchHub struct {
	*childHub
	target      Target
	credentials []Credential
}

// startBenchHub starts a hub with a configuration, "" for the defaults, and registers devices.
func startBenchHub(ctx context.Context, binary, config string, devices int, pinned *pinning) (*benchHub, error) {
	dir, err := os.MkdirTemp("", "telemetry-bench-")
	if err != nil {
		return nil, err
	}
	b := &benchHub{}
	if b.childHub, err = newChildHub(binary, dir); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	err = os.WriteFile(b.file("hub.toml"), []byte(config), 0o600)
	if err == nil {
		err = pinned.start(func() error { return b.start(ctx) })
	}
	if err == nil {
		b.target, b.credentials, err = b.addDevices(ctx, devices)
	}
	if err != nil {
		b.remove()
		return nil, err
	}
	return b, nil
}

// remove ends the hub and removes what it has written.
func (b *benchHub) remove() {
	b.kill()
	_ = os.RemoveAll(b.dir)
}
