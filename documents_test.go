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

// TestDocumentsNameTestsThatExist: a test, benchmark or fuzz target that README or CONTRIBUTING tells people to run is in the package
// that they are told. Go says nothing of a name that nothing has.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	command := regexp.MustCompile("`(?:[^`]*&& )?(go test [^`]+)`")
	folder := regexp.MustCompile(`\./[a-z/]+`)
	named := regexp.MustCompile(`-(run|bench|fuzz) '?\^?([A-Z]\w*)`)
	kinds := map[string]string{"run": "(?:Test)?", "bench": "Benchmark", "fuzz": "(?:Fuzz)?"}
	found := 0
	for _, document := range []string{"README.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range command.FindAllStringSubmatch(string(text), -1) {
			for _, name := range named.FindAllStringSubmatch(match[1], -1) {
				files, _ := filepath.Glob(filepath.Join(folder.FindString(match[1]), "*_test.go"))
				declared := regexp.MustCompile(`(?m)^func ` + kinds[name[1]] + `\w*` + name[2])
				there := false
				for _, file := range files {
					code, err := os.ReadFile(file)
					if err != nil {
						t.Fatal(err)
					}
					there = there || declared.Match(code)
				}
				if !there {
					t.Errorf("%s: nothing is run by %s", document, match[1])
				}
				found++
			}
		}
	}
	if found < 3 {
		t.Errorf("only %d names were looked at", found)
	}
}
