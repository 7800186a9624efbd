// Package clients calls every operation of a hub with a client that a generator has made of its document, and that refuses what
// does not fit the document.
package clients

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/ogen-go/ogen/ogenerrors"

	"github.com/telemetry-hub/ci-clients/ogenclient"
)

// caller sends the requests of the generated client, with a key or a session, and notes the answers' status.
type caller struct {
	base   http.RoundTripper
	key    string
	cookie string
	status int
}

func (c *caller) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	c.status = resp.StatusCode
	for _, cookie := range resp.Cookies() {
		c.cookie = cookie.Value
	}
	return resp, nil
}

// BearerKey implements ogenclient.SecuritySource.
func (c *caller) BearerKey(context.Context, ogenclient.OperationName) (ogenclient.BearerKey, error) {
	if c.key == "" {
		return ogenclient.BearerKey{}, ogenerrors.ErrSkipClientSecurity
	}
	return ogenclient.BearerKey{Token: c.key}, nil
}

// SessionCookie implements ogenclient.SecuritySource.
func (c *caller) SessionCookie(context.Context, ogenclient.OperationName) (ogenclient.SessionCookie, error) {
	if c.key != "" || c.cookie == "" {
		return ogenclient.SessionCookie{}, ogenerrors.ErrSkipClientSecurity
	}
	return ogenclient.SessionCookie{APIKey: c.cookie}, nil
}

// start runs a program until the test ends, and returns its lines.
func start(t *testing.T, args ...string) *bufio.Scanner {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	return bufio.NewScanner(out)
}

func TestEveryOperation(t *testing.T) {
	bin, dir := os.Getenv("HUB_BIN"), t.TempDir()
	if bin == "" {
		t.Fatal("HUB_BIN is not set: it is the directory of the programs, see check")
	}
	data := filepath.Join(dir, "data")
	lines := start(t, filepath.Join(bin, "telemetry-hub"), "serve", "--data-dir", data, "--listen", "127.0.0.1:0", "--log-level", "error")
	var address, link string
	for (address == "" || link == "") && lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "ready: "); ok {
			address, _, _ = strings.Cut(after, " ")
		}
		if _, after, ok := strings.Cut(lines.Text(), "/setup#"); ok {
			link = after
		}
	}
	c := &caller{base: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	client, err := ogenclient.NewClient(address+"/api/v1", c, ogenclient.WithClient(&http.Client{Transport: c}))
	if err != nil {
		t.Fatal(err)
	}
	const password = "correct horse battery"
	const id = "0193f05e-7a10-7c2b-9d41-3e88510c6faa"
	called := map[string]bool{}
	// call calls a method with a request in JSON and parameters, and wants the operation to succeed or, with a status, to fail with it.
	call := func(method, request string, params map[string]string, fails ...int) any {
		t.Helper()
		called[method] = true
		f := reflect.ValueOf(client).MethodByName(method)
		if !f.IsValid() {
			t.Fatalf("the client has no %s", method)
		}
		args := []reflect.Value{reflect.ValueOf(t.Context())}
		for i := 1; i < f.Type().NumIn(); i++ {
			switch in := f.Type().In(i); in.Kind() {
			case reflect.Pointer:
				v := reflect.New(in.Elem())
				if err := json.Unmarshal([]byte(request), v.Interface()); err != nil {
					t.Fatalf("%s: %v", method, err)
				}
				args = append(args, v)
			case reflect.Struct:
				v := reflect.New(in).Elem()
				for name, text := range params {
					set(t, v.FieldByName(name), text)
				}
				args = append(args, v)
			}
		}
		if f.Type().IsVariadic() {
			args = args[:f.Type().NumIn()-1]
		}
		out := f.Call(args)
		if err, _ := out[len(out)-1].Interface().(error); err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if len(fails) > 0 && c.status != fails[0] || len(fails) == 0 && c.status >= 300 {
			text, _ := json.Marshal(out[0].Interface())
			t.Errorf("%s: status %d: %.500s", method, c.status, text)
		}
		return out[0].Interface()
	}
	type params = map[string]string

	call("SetUp", fmt.Sprintf(`{"link":%q,"user":"anna","password":%q}`, link, password), nil)
	call("LogIn", fmt.Sprintf(`{"user":"anna","password":%q}`, password), nil)
	call("GetSession", "", nil)
	call("ChangePassword", fmt.Sprintf(`{"old":%q,"new":"%s staple"}`, password, password), nil)
	key := call("AddAPIKey", `{"name":"script","role":"admin"}`, nil).(*ogenclient.MadeAPIKey).Key
	call("LogOut", "", nil)
	c.key = key
	call("ListAPIKeys", "", nil)
	call("AddUser", fmt.Sprintf(`{"name":"bo","password":%q,"role":"viewer"}`, password), nil)
	call("ListUsers", "", nil)
	call("ChangeUser", `{"role":"operator"}`, params{"Name": "bo"})
	call("RemoveUser", "", params{"Name": "bo"})
	made := call("AddDevice", `{"id":"room-1","kind":"room","labels":{"site":"north"}}`, nil).(*ogenclient.CredentialsHeaders)
	call("AddDevices", `{"devices":[{"id":"room-2"},{"id":"room-3"}]}`, nil)

	credentials := filepath.Join(dir, "credentials.csv")
	if err := os.WriteFile(credentials, []byte("device,token\nroom-1,"+made.Response.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, filepath.Join(bin, "firmware-sim"), "run", "--hub", strings.Replace(address, "https", "wss", 1), "--ca", filepath.Join(data, "tls/ca.pem"),
		"--credentials", credentials, "--profile", "office", "--rate", "5")
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if d, ok := call("GetDevice", "", params{"ID": "room-1"}).(*ogenclient.DeviceDetail); ok && !d.Schema.Null && d.Books.Frames > 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the device does not come")
		}
	}
	call("SendCommand", `{"id":"`+id+`","name":"set_setpoint","args":{"celsius":22.5}}`, params{"ID": "room-1", "Wait": "20s"})
	call("GetCommand", "", params{"ID": id})
	call("CancelCommand", "", params{"ID": id}, http.StatusConflict)
	call("ListCommands", "", params{"Device": "room-1"})
	call("SetSetting", `{"value":21}`, params{"ID": "room-1", "Channel": "setpoint"})
	call("ListSettings", "", params{"ID": "room-1"})
	call("ClearSetting", "", params{"ID": "room-1", "Channel": "setpoint"})
	call("StartRollout", `{"id":"`+id+`","name":"blink","labels":{"site":"north"}}`, params{"Wait": "20s"})
	call("GetRollout", "", params{"ID": id})
	call("ListOutcomes", "", params{"ID": id})
	call("StopRollout", "", params{"ID": id})
	call("GetReadings", "", params{"ID": "room-1", "From": "-1m"})
	call("StreamReadings", "", params{"Device": "room-1", "Limit": "10"})
	call("StreamReadingsAsCSV", "", params{"Device": "room-1", "From": "-1h"})
	call("StreamReadingsAsLineProtocol", "", params{"Device": "room-1"})
	call("ListLatest", "", nil)
	call("ListDevices", "", params{"Q": "room", "Limit": "2"})
	call("ChangeDevice", `{"labels":{"site":null,"floor":"2"}}`, params{"ID": "room-1"})
	call("RotateToken", "", params{"ID": "room-2"})
	call("RevokeDevice", "", params{"ID": "room-2"})
	call("RemoveDevice", "", params{"ID": "room-3"})
	call("GetHub", "", nil)
	call("GetStatus", "", nil)
	call("ListEvents", "", nil)
	call("ListAudit", "", nil)
	call("GetCertificate", "", nil)
	call("RenewCertificate", "", nil)
	call("GetOpenAPI", "", nil)
	call("ListDeadLetters", "", nil)
	call("GetDeadLetter", "", params{"Position": "4711"}, http.StatusNotFound)
	call("DropDeadLetters", "", params{"All": "true"})
	call("ReplayDeadLetters", `{"all":true}`, nil, http.StatusConflict)
	call("RemoveAPIKey", "", params{"Name": "script"})

	all := reflect.TypeFor[ogenclient.Invoker]()
	for i := range all.NumMethod() {
		if name := all.Method(i).Name; !called[name] {
			t.Errorf("%s was not called", name)
		}
	}
}

// set gives a parameter a value.
func set(t *testing.T, field reflect.Value, text string) {
	t.Helper()
	switch v := field.Addr().Interface().(type) {
	case *uuid.UUID:
		*v = uuid.MustParse(text)
	case *[]string:
		*v = []string{text}
	case *string:
		*v = text
	case *int:
		*v, _ = strconv.Atoi(text)
	default: // an optional one
		set(t, field.FieldByName("Value"), text)
		field.FieldByName("Set").SetBool(true)
	case *bool:
		*v = text == "true"
	}
}
