package dashboard

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// contract is openapi.json, and which of its operations have been tried.
type contract struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
	tried    map[string]bool // "GET /hub 200"
}

// openAPI is the document as it is served.
func openAPI(t testing.TB) []byte {
	t.Helper()
	doc, err := os.ReadFile("api/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func loadContract(t testing.TB) *contract {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI(t)))
	if err != nil {
		t.Fatal(err)
	}
	strict(doc)
	c := &contract{doc: doc.(map[string]any), compiler: jsonschema.NewCompiler(), tried: map[string]bool{}}
	if err := c.compiler.AddResource("https://hub/openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// strict lets objects have no other properties than those described. A client must not count on that, but a property that
// is not described is a mistake.
func strict(node any) {
	switch node := node.(type) {
	case map[string]any:
		for _, child := range node {
			strict(child)
		}
		if _, ok := node["properties"]; ok && node["type"] == "object" && node["additionalProperties"] == nil {
			node["additionalProperties"] = false
		}
	case []any:
		for _, child := range node {
			strict(child)
		}
	}
}

func at(node any, keys ...string) any {
	for _, key := range keys {
		m, _ := node.(map[string]any)
		node = m[key]
	}
	return node
}

var methods = []string{"get", "post", "put", "patch", "delete"}

// operations calls f for each operation of the document.
func (c *contract) operations(f func(path, method string, operation map[string]any)) {
	paths := c.doc["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, method := range methods {
			if op, ok := at(paths, path, method).(map[string]any); ok {
				f(path, strings.ToUpper(method), op)
			}
		}
	}
}

// find returns the path of the document that a request is for.
func (c *contract) find(method, path string) string {
	path, _, _ = strings.Cut(strings.TrimPrefix(path, "/api/v1"), "?")
	got := strings.Split(path, "/")
	var found string
	c.operations(func(p, m string, _ map[string]any) {
		parts := strings.Split(p, "/")
		if m != method || len(parts) != len(got) {
			return
		}
		for i := range parts {
			if parts[i] != got[i] && !strings.HasPrefix(parts[i], "{") {
				return
			}
		}
		found = p
	})
	return found
}

// check compares an answer, and what was sent if it was accepted, with the document.
func (c *contract) check(t testing.TB, method, path string, sent []byte, r *http.Response, body []byte) {
	t.Helper()
	what := fmt.Sprintf("%s %s: %d", method, path, r.StatusCode)
	p := c.find(method, path)
	status := strconv.Itoa(r.StatusCode)
	pointer := "/paths/" + escape(p) + "/" + strings.ToLower(method) + "/responses/" + status
	response := at(c.doc, "paths", p, strings.ToLower(method), "responses", status)
	if response == nil {
		t.Errorf("%s is not described: %.200s", what, body)
		return
	}
	c.tried[method+" "+p+" "+status] = true
	if target, ok := at(response, "$ref").(string); ok {
		pointer = strings.TrimPrefix(target, "#")
		response = at(c.doc, strings.Split(pointer[1:], "/")...)
	}
	if r.StatusCode < 300 && sent != nil {
		c.validate(t, what+", the request", "/paths/"+escape(p)+"/"+strings.ToLower(method)+"/requestBody/content/application~1json/schema", sent)
	}
	content, _ := at(response, "content").(map[string]any)
	if content == nil {
		if len(body) > 0 {
			t.Errorf("%s has a body: %.200s", what, body)
		}
		return
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if content[kind] == nil {
		t.Errorf("%s is %q", what, kind)
		return
	}
	if kind == "application/x-ndjson" {
		for line := range bytes.Lines(body) {
			c.validate(t, what, pointer+"/content/"+escape(kind)+"/schema/x-line", line)
		}
		return
	}
	if strings.HasSuffix(kind, "json") {
		c.validate(t, what, pointer+"/content/"+escape(kind)+"/schema", body)
	}
}

func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }

func (c *contract) validate(t testing.TB, what, pointer string, text []byte) {
	t.Helper()
	schema, err := c.compiler.Compile("https://hub/openapi.json#" + pointer)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Errorf("%s: %v: %.200s", what, err, text)
		return
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v\n%.2000s", what, err, text)
	}
}

// registered returns the patterns of the API that the source registers.
func registered(t *testing.T) []string {
	t.Helper()
	own, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := filepath.Glob("api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var patterns []string
	for _, name := range slices.Concat(own, theirs) {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if method, path, ok := strings.Cut(text, " "); err == nil && ok && slices.Contains(methods, strings.ToLower(method)) && strings.HasPrefix(path, "/api/v1/") &&
				!strings.HasSuffix(path, "/") && !strings.Contains(path, " ") { // which are words to people
				patterns = append(patterns, text)
			}
			return true
		})
	}
	slices.Sort(patterns)
	return patterns
}

func TestOpenAPIHasTheRoutes(t *testing.T) {
	c := loadContract(t)
	var described []string
	c.operations(func(path, method string, _ map[string]any) { described = append(described, method+" /api/v1"+path) })
	slices.Sort(described)
	got := registered(t)
	if !slices.Equal(described, got) {
		for _, p := range got {
			if !slices.Contains(described, p) {
				t.Errorf("%s is not described", p)
			}
		}
		for _, p := range described {
			if !slices.Contains(got, p) {
				t.Errorf("%s is described, and not there", p)
			}
		}
	}
	// What the mux makes of it.
	s := newSite(t)
	c.operations(func(path, method string, _ map[string]any) {
		r := httptest.NewRequest(method, "/api/v1"+strings.NewReplacer("{id}", "a", "{name}", "a").Replace(path), nil)
		if _, pattern := s.mux.Handler(r); pattern != method+" /api/v1"+path {
			t.Errorf("%s %s is answered by %q", method, path, pattern)
		}
	})
	// Parameters, bodies and schemas are such as JSON Schema knows.
	c.operations(func(path, method string, op map[string]any) {
		parameters, _ := op["parameters"].([]any)
		for i := range parameters {
			if _, err := c.compiler.Compile(fmt.Sprintf("https://hub/openapi.json#/paths/%s/%s/parameters/%d/schema", escape(path), strings.ToLower(method), i)); err != nil {
				t.Errorf("%s %s: %v", method, path, err)
			}
		}
	})
	for name := range at(c.doc, "components", "schemas").(map[string]any) {
		if _, err := c.compiler.Compile("https://hub/openapi.json#/components/schemas/" + name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Contains(openAPI(t), []byte(`"#/components/schemas/`+name+`"`)) {
			t.Errorf("nothing refers to the schema %s", name)
		}
	}
}

// TestDocumentIsForGenerators holds what makes generators of clients stumble, and their users wonder: each operation has an id of its
// own, everything is described and has an example that is right, no value has several types, and names differ in more than case.
func TestDocumentIsForGenerators(t *testing.T) {
	c := loadContract(t)
	ids := map[string]string{}
	example := func(where string, node any, pointer string) {
		value := at(node, "example")
		if value == nil {
			t.Errorf("%s has no example", where)
			return
		}
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		c.validate(t, "the example of "+where, pointer+"/schema", text)
	}
	described := func(where string, node any) {
		if text, _ := at(node, "description").(string); text == "" {
			t.Errorf("%s is not described", where)
		}
	}
	c.operations(func(path, method string, op map[string]any) {
		what, pointer := method+" "+path, "/paths/"+escape(path)+"/"+strings.ToLower(method)
		id, _ := op["operationId"].(string)
		if !regexp.MustCompile(`^[a-z]+[A-Z][A-Za-z]*$`).MatchString(id) || ids[strings.ToLower(id)] != "" {
			t.Errorf("%s has the id %q", what, id)
		}
		ids[strings.ToLower(id)] = what
		described(what, op)
		for _, of := range []struct {
			node    any
			pointer string
		}{{at(c.doc, "paths", path, "parameters"), "/paths/" + escape(path)}, {op["parameters"], pointer}} {
			parameters, _ := of.node.([]any)
			for i, p := range parameters {
				name := fmt.Sprint(what, ", parameter ", at(p, "name"))
				described(name, p)
				example(name, p, fmt.Sprintf("%s/parameters/%d", of.pointer, i))
			}
		}
		contents := map[string]any{"/requestBody": op["requestBody"]}
		for status, response := range op["responses"].(map[string]any) {
			contents["/responses/"+status] = response
			if at(response, "$ref") == nil {
				described(what+" "+status, response)
			}
		}
		for below, node := range contents {
			content, _ := at(node, "content").(map[string]any)
			if len(content) > 1 {
				t.Errorf("%s%s has several media types", what, below)
			}
			for kind, body := range content {
				example(what+below, body, pointer+below+"/content/"+escape(kind))
			}
		}
	})
	for name, response := range at(c.doc, "components", "responses").(map[string]any) {
		described(name, response)
		example(name, at(response, "content", "application/problem+json"), "/components/responses/"+name+"/content/application~1problem+json")
	}
	names := map[string]bool{}
	for name, schema := range at(c.doc, "components", "schemas").(map[string]any) {
		described(name, schema)
		if names[strings.ToLower(name)] {
			t.Errorf("there are two %s", name)
		}
		names[strings.ToLower(name)] = true
		properties, _ := at(schema, "properties").(map[string]any)
		for property, of := range properties {
			described(name+"."+property, of)
		}
	}
	for name := range at(c.doc, "components", "securitySchemes").(map[string]any) {
		if names[strings.ToLower(name)] {
			t.Errorf("%s is a schema and a way to log in", name)
		}
	}
	var oneType func(node any)
	oneType = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			if types, ok := node["type"].([]any); ok && len(slices.DeleteFunc(slices.Clone(types), func(t any) bool { return t == "null" })) > 1 {
				t.Errorf("a value has the types %v", types)
			}
			for key, child := range node {
				if key != "example" {
					oneType(child)
				}
			}
		case []any:
			for _, child := range node {
				oneType(child)
			}
		}
	}
	oneType(c.doc)
}

// apiRig calls the REST API of a rig and compares every answer with the contract.
type apiRig struct {
	*liveRig
	contract *contract
	keys     map[string]string // of each role; "" is nobody
	cookie   *http.Cookie      // sent by nobody: a session
	client   *http.Client
}

// reply is an answer read to its end.
type reply struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

func newAPI(t testing.TB, o rigOptions, devices ...string) *apiRig {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	a := &apiRig{
		liveRig: newLiveRig(t, o, devices...), contract: loadContract(t), keys: map[string]string{},
		client: &http.Client{Transport: transport},
	}
	for _, role := range []accounts.Role{accounts.RoleViewer, accounts.RoleOperator, accounts.RoleAdmin} {
		key, err := a.store.Accounts.AddAPIKey("test-"+string(role), role)
		if err != nil {
			t.Fatal(err)
		}
		a.keys[string(role)] = key
	}
	return a
}

// call sends a request as somebody of the role. body is sent as JSON, a string as it is.
func (a *apiRig) call(role, method, path string, body any) *reply {
	a.t.Helper()
	var sent []byte
	switch body := body.(type) {
	case nil:
	case string:
		sent = []byte(body)
	default:
		b, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		sent = b
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, "https://"+a.addr+"/api/v1"+path, bytes.NewReader(sent))
	if err != nil {
		a.t.Fatal(err)
	}
	if key := a.keys[role]; key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	} else if a.cookie != nil {
		req.AddCookie(a.cookie)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	a.contract.check(a.t, method, path, sent, resp, b)
	for _, c := range resp.Cookies() {
		a.cookie = c
	}
	return &reply{t: a.t, what: method + " " + path, status: resp.StatusCode, header: resp.Header, body: b}
}

// get wants 200 for a viewer.
func (a *apiRig) get(path string, v any) {
	a.t.Helper()
	a.call("viewer", "GET", path, nil).wants(http.StatusOK, v)
}

// wants checks the status and reads the body into v, if it is not nil.
func (r *reply) wants(status int, v any) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("%s: status %d, want %d: %.300s", r.what, r.status, status, r.body)
	}
	if v != nil {
		if err := json.Unmarshal(r.body, v); err != nil {
			r.t.Fatalf("%s: %v: %.300s", r.what, err, r.body)
		}
	}
	return r
}
