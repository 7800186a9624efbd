package client

import (
	"context"
	"math"
	"net/http"
	"net/url"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

const devicesInPage = 200

func devicePath(id string) string { return "/devices/" + url.PathEscape(id) }

// Devices returns all devices, sorted by id.
func (c *Client) Devices(ctx context.Context) ([]api.DeviceItem, error) {
	return list(ctx, c, "/devices", url.Values{}, math.MaxInt, devicesInPage, func(p *api.Devices) ([]api.DeviceItem, string) { return p.Devices, p.Next })
}

// Device returns one device with its schema.
func (c *Client) Device(ctx context.Context, id string) (d api.Device, err error) {
	return d, c.call(ctx, http.MethodGet, devicePath(id), nil, nil, &d)
}

// AddDevices registers devices, all of them or none, and returns their tokens in the same order.
func (c *Client) AddDevices(ctx context.Context, devices []devices.NewDevice) ([]devices.Credential, error) {
	var out api.Fleet
	err := c.call(ctx, http.MethodPost, "/devices/batch", nil, map[string]any{"devices": devices}, &out)
	return out.Devices, err
}

// Rotate gives the device a new token.
func (c *Client) Rotate(ctx context.Context, id string) (cred api.Credentials, err error) {
	return cred, c.call(ctx, http.MethodPost, devicePath(id)+"/rotate", nil, nil, &cred)
}

// Revoke makes the device's tokens invalid and closes its connection.
func (c *Client) Revoke(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, devicePath(id)+"/revoke", nil, nil, nil)
}

// Remove forgets the device with its readings and closes its connection.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, devicePath(id), nil, nil, nil)
}
