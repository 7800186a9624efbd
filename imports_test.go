package telemetryhub_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/telemetry-hub/telemetry-hub/"

// mayImport says which folders a folder may import; store/... is store and all folders in it. A folder that is not named has
// the rule of the one it lies in, and each may import itself.
var mayImport = map[string][]string{
	"device":               {},
	"device/client":        {"device"},
	"store":                {"device", "store/..."},
	"hub":                  {"device", "store/..."},
	"dashboard":            {"device", "store/...", "hub/...", "dashboard/..."},
	"dashboard/api":        {"device", "store/...", "hub/...", "dashboard/limit", "dashboard/render"},
	"dashboard/api/socket": {},
	"dashboard/api/client": {"device", "store/...", "hub/...", "dashboard/api", "dashboard/api/socket", "dashboard/render"},
	"dashboard/limit":      {},
	"dashboard/render":     {"device", "store/..."},
	"firmware-sim":         {"device", "device/client"},
	".ci":                  {},
	"cmd":                  {"device", "device/client", "store/...", "hub/...", "dashboard/...", "firmware-sim"},

	"store/wallclock":           {"store/notify"},
	"store/wallclock/clocktest": {"store/wallclock"},
	"store/boltfile":            {},
	"store/journal":             {},
	"store/influx":              {"device"},
	"store/tail":                {"device", "store/journal", "store/notify"},
	"store/history":             {"device", "store/boltfile", "store/tail", "store/wallclock"},
	"store/history/feed":        {"device", "store/alarms", "store/history", "store/outages", "store/tail", "store/wallclock"},
	"store/export":              {"device", "store/alarms", "store/devices", "store/hubdb", "store/influx", "store/journal", "store/notify", "store/outages", "store/tail", "store/wallclock"},
	"store/alarms":              {"store/wallclock"},
	"store/hubdb":               {"store/alarms", "store/boltfile", "store/wallclock"},
	"store/outages":             {"device", "store/alarms", "store/history", "store/hubdb", "store/tail", "store/wallclock"},
	"store/ledger":              {"device", "store/alarms", "store/boltfile", "store/history", "store/hubdb", "store/journal", "store/notify", "store/outages", "store/tail", "store/wallclock"},
	"store/audit":               {"device", "store/alarms", "store/hubdb", "store/wallclock"},
	"store/storetest":           {"device", "store/ledger", "store/notify", "store/tail"},
	"store/secrets":             {},
	"store/names":               {"device"},
	"store/accounts":            {"store/alarms", "store/hubdb", "store/names", "store/secrets", "store/wallclock"},
	"store/notify":              {},
	"store/commands":            {"device", "store/alarms", "store/audit", "store/hubdb", "store/notify", "store/wallclock"},
	"store/settings":            {"device", "store/audit", "store/commands", "store/hubdb", "store/notify", "store/wallclock"},
	"store/devices":             {"device", "store/alarms", "store/hubdb", "store/names", "store/secrets", "store/wallclock"},
}

// testsMayImport is what only the tests of a folder may import besides: the reference device drives the hub,
// and is what commands from the dashboard reach.
var testsMayImport = map[string][]string{
	"store/accounts":     {"store/wallclock/clocktest"},
	"store/export":       {"store", "store/ledger", "store/storetest"},
	"store/tail":         {"store", "store/ledger"},
	"store/history/feed": {"store/hubdb", "store/journal", "store/storetest"},
	"store/ledger":       {"store", "store/storetest", "store/devices", "store/export", "store/influx", "store/wallclock/clocktest"},
	"hub":                {"device/client"},
	"dashboard":          {"device/client"},
	"store/settings":     {"store/alarms"},
}

func TestImportsFollowTheFolders(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		name = filepath.ToSlash(name)
		if err != nil || entry.IsDir() || path.Ext(name) != ".go" || path.Dir(name) == "." {
			return err
		}
		folder := ruleOf(path.Dir(name))
		if folder == "" {
			t.Errorf("%s: its folder has no rule", name)
			return nil
		}
		allowed := mayImport[folder]
		if strings.HasSuffix(name, "_test.go") {
			allowed = slices.Concat(allowed, testsMayImport[folder])
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files++
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			ours, ok := strings.CutPrefix(imported, module)
			if to := ruleOf(ours); ok && to != folder && !slices.ContainsFunc(allowed, func(pattern string) bool { return covers(pattern, to) }) {
				t.Errorf("%s imports %s, but %s may import only %v", name, ours, folder, allowed)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Errorf("only %d files were looked at", files)
	}
}

// covers tells whether a folder is the one of a pattern or, if that ends in /..., lies in it.
func covers(pattern, folder string) bool {
	root, tree := strings.CutSuffix(pattern, "/...")
	return folder == root || tree && strings.HasPrefix(folder, root+"/")
}

// ruleOf returns the most specific folder of mayImport that holds the package.
func ruleOf(pkg string) string {
	rule := ""
	for folder := range mayImport {
		if (pkg == folder || strings.HasPrefix(pkg, folder+"/")) && len(folder) > len(rule) {
			rule = folder
		}
	}
	return rule
}
