package dashboard

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// mostScript is the promised size of all scripts and styles, compressed, in bytes.
const mostScript = 80_000

func pageFiles(t *testing.T) fs.FS {
	t.Helper()
	files, err := fs.Sub(webFiles, "web")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPageIsSmall(t *testing.T) {
	p, err := newPage(pageFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for name, a := range p.assets {
		if ext := path.Ext(name); ext == ".js" || ext == ".css" {
			total += len(a.zipped)
		}
	}
	t.Logf("scripts and styles: %d bytes compressed", total)
	if total == 0 || total > mostScript {
		t.Errorf("scripts and styles have %d bytes compressed, want 1 to %d", total, mostScript)
	}
}

// A reference that leads nowhere would only be seen by whoever opens that part of the page.
func TestPageRefersToItselfOnly(t *testing.T) {
	files := pageFiles(t)
	imports := regexp.MustCompile(`(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]`)
	inIndex := regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	absolute := regexp.MustCompile(`https?://[^\s'"<>)]+`)
	// An XML namespace is a name, not an address.
	const svg = "http://www.w3.org/2000/svg"
	seen := 0
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(name, "vendor/") {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		for _, url := range absolute.FindAllString(string(b), -1) {
			if url != svg {
				t.Errorf("%s names %s: the page must load nothing from elsewhere", name, url)
			}
		}
		switch path.Ext(name) {
		case ".js":
			for _, m := range imports.FindAllStringSubmatch(string(b), -1) {
				seen++
				if !strings.HasPrefix(m[1], ".") {
					t.Errorf("%s imports %q: modules are imported by relative paths", name, m[1])
				} else if _, err := fs.Stat(files, path.Join(path.Dir(name), m[1])); err != nil {
					t.Errorf("%s imports %q: %v", name, m[1], err)
				}
			}
		case ".html":
			for _, m := range inIndex.FindAllStringSubmatch(string(b), -1) {
				if target, ok := strings.CutPrefix(m[1], "/a/"); ok {
					seen++
					if _, err := fs.Stat(files, target); err != nil {
						t.Errorf("%s refers to %s: %v", name, m[1], err)
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Errorf("only %d references were found", seen)
	}
}

func TestVendoredFilesAreAsPublished(t *testing.T) {
	files := pageFiles(t)
	sums, err := files.Open("vendor/VENDOR.sum")
	if err != nil {
		t.Fatal(err)
	}
	defer sums.Close()
	listed := map[string]string{}
	for lines := bufio.NewScanner(sums); lines.Scan(); {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		listed[name] = sum
	}
	for _, folder := range []string{"uplot", "stompjs"} {
		entries, err := fs.ReadDir(files, "vendor/"+folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			name := folder + "/" + entry.Name()
			b, err := fs.ReadFile(files, "vendor/"+name)
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(b); listed[name] != hex.EncodeToString(sum[:]) {
				t.Errorf("vendor/%s is not what VENDOR.sum says", name)
			}
			delete(listed, name)
		}
	}
	for name := range listed {
		t.Errorf("VENDOR.sum names %s, which is not there", name)
	}
}

func TestAssetsAreNamedByContent(t *testing.T) {
	one := fstest.MapFS{
		"index.html":  {Data: []byte(`<script src="/a/app/main.js"></script>`)},
		"app/main.js": {Data: bytes.Repeat([]byte("export {}\n"), 100)},
	}
	p, err := newPage(one)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"/a/` + p.version + `/app/main.js"`; !bytes.Contains(p.index.plain, []byte(want)) {
		t.Errorf("index.html has %s, want %s", p.index.plain, want)
	}
	one["app/main.js"].Data = append(one["app/main.js"].Data, '\n')
	if other, err := newPage(one); err != nil || other.version == p.version {
		t.Errorf("another content has the same version %s (%v)", p.version, err)
	}
	d := &Dashboard{page: p, mux: http.NewServeMux()}
	d.pageRoutes()
	get := func(target, accept string) *http.Response {
		r := httptest.NewRequest(http.MethodGet, "https://127.0.0.1"+target, nil)
		r.Header.Set("Accept-Encoding", accept)
		w := httptest.NewRecorder()
		d.Handler().ServeHTTP(w, r)
		return w.Result()
	}
	asset := "/a/" + p.version + "/app/main.js"
	zipped := get(asset, "br, gzip;q=0.5")
	if zipped.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(zipped.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("asset: %v", zipped.Header)
	}
	if r, err := gzip.NewReader(zipped.Body); err != nil {
		t.Error(err)
	} else if b, err := io.ReadAll(r); err != nil || !bytes.HasPrefix(b, []byte("export {}")) {
		t.Errorf("asset: %.20q, %v", b, err)
	}
	for _, accept := range []string{"", "gzip;q=0", "br"} {
		if plain := get(asset, accept); plain.Header.Get("Content-Encoding") != "" {
			t.Errorf("Accept-Encoding %q: compressed", accept)
		}
	}
	if old := get("/a/0123456789abcdef/app/main.js", ""); old.StatusCode != http.StatusNotFound || old.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("asset of another version: %d %v", old.StatusCode, old.Header)
	}
	for _, path := range []string{"/", "/devices", "/devices/pump-7", "/login"} {
		index := get(path, "")
		if index.StatusCode != http.StatusOK || index.Header.Get("Cache-Control") != "no-store" ||
			!strings.Contains(index.Header.Get("Content-Security-Policy"), "require-trusted-types-for 'script'") {
			t.Errorf("%s: %d %v", path, index.StatusCode, index.Header)
		}
	}
	if missing := get("/nothing", ""); missing.StatusCode != http.StatusNotFound {
		t.Errorf("/nothing: %d", missing.StatusCode)
	}
}
