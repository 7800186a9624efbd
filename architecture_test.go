package telemetryhub_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestArchitectureNamesWhatIsThere: each file and folder that ARCHITECTURE.md names exists. A file without a folder is in the one
// named last before it.
func TestArchitectureNamesWhatIsThere(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	folder, found := "", 0
	for _, quoted := range regexp.MustCompile("`([A-Za-z0-9_./*-]+)`").FindAllStringSubmatch(string(text), -1) {
		name := quoted[1]
		isFile := regexp.MustCompile(`\.(go|js|json|md|txt|toml)$`).MatchString(name)
		switch {
		case strings.HasSuffix(name, ".db"), name == "devices.json", name == "users.json", strings.HasPrefix(name, "journal/"):
			continue // in a data directory
		case strings.Contains(name, "/") && !strings.HasPrefix(name, "/"):
			folder = name
			if isFile {
				folder = filepath.Dir(name)
			}
		case isFile:
			if here, _ := filepath.Glob(name); len(here) == 0 {
				name = filepath.Join(folder, name)
			}
		default:
			continue // an identifier
		}
		found++
		if there, err := filepath.Glob(name); err != nil || len(there) == 0 {
			t.Errorf("there is no %s", name)
		}
	}
	if found < 40 {
		t.Errorf("only %d names were looked at", found)
	}
}
