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

// mostScript is the promised size of all scripts and styles that one screen needs, compressed, in bytes.
const mostScript = 80_000

// imports finds what a module needs at once (1) and what it loads later (2).
var imports = regexp.MustCompile(`(?m)^(?:import|export)(?:[^'"\n]* from)? ['"]([^'"\n]+)['"]|[^{]\bimport\('([^'\n]+)'\)`)

func pageFiles(t *testing.T) fs.FS {
	t.Helper()
	files, err := fs.Sub(webFiles, "web")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Every screen is counted with all it imports, the larger language, all styles and both libraries.
func TestPageIsSmall(t *testing.T) {
	files := pageFiles(t)
	p, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	screens, err := fs.Glob(files, "app/screens/*.js")
	if err != nil {
		t.Fatal(err)
	}
	all := 0
	always := []string{"app/main.js", "app/theme.js"}
	for name, a := range p.assets {
		ext := path.Ext(name)
		if ext == ".js" || ext == ".css" {
			all += len(a.brotli)
		}
		if ext == ".css" || ext == ".js" && strings.HasPrefix(name, "vendor/") {
			always = append(always, name)
		}
	}
	languages := max(len(p.assets["lang/en.js"].brotli), len(p.assets["lang/ko.js"].brotli))
	for _, screen := range screens {
		if strings.Contains(screen, "_") {
			continue // a part of a screen
		}
		needed := map[string]bool{}
		for _, name := range append(always, screen) {
			need(t, files, name, needed)
		}
		size := languages
		for name := range needed {
			size += len(p.assets[name].brotli)
		}
		t.Logf("%s: %d files, %d bytes compressed", screen, len(needed), size)
		if len(needed) < 10 || size > mostScript {
			t.Errorf("%s needs %d bytes of script and style, want at most %d", screen, size, mostScript)
		}
	}
	t.Logf("all screens and languages together: %d bytes", all)
}

// need adds a file and what it imports to needed.
func need(t *testing.T, files fs.FS, name string, needed map[string]bool) {
	t.Helper()
	if needed[name] {
		return
	}
	needed[name] = true
	if strings.HasPrefix(name, "vendor/") {
		return
	}
	b, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range imports.FindAllStringSubmatch(string(b), -1) {
		// What a screen loads later counts, too, except what a new token is shown with. Other screens and languages do not.
		later := strings.HasPrefix(name, "app/screens/") && m[2] != "./add_snippets.js"
		if m[1] != "" || later {
			need(t, files, path.Join(path.Dir(name), m[1]+m[2]), needed)
		}
	}
}

// A reference that leads nowhere would only be seen by whoever opens that part of the page.
func TestPageRefersToItselfOnly(t *testing.T) {
	files := pageFiles(t)
	inIndex := regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	absolute := regexp.MustCompile(`https?://[a-z0-9][^\s'"<>)]*`)
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
				target := m[1] + m[2]
				if !strings.HasPrefix(target, ".") {
					t.Errorf("%s imports %q: modules are imported by relative paths", name, target)
				} else if _, err := fs.Stat(files, path.Join(path.Dir(name), target)); err != nil {
					t.Errorf("%s imports %q: %v", name, target, err)
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
		"app/main.js": {Data: bytes.Repeat([]byte("import './other.js'\n"), 100)},
	}
	p, err := newPage(one)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"/a/` + p.version + `/app/main.js"`; !bytes.Contains(p.index.plain, []byte(want)) {
		t.Errorf("index.html has %s, want %s", p.index.plain, want)
	}
	one["app/main.js"].Data = one["app/main.js"].Data[20:]
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
	zipped := get(asset, "br;q=0, gzip;q=0.5")
	if zipped.Header.Get("Content-Encoding") != "gzip" || !strings.Contains(zipped.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("asset: %v", zipped.Header)
	}
	if r, err := gzip.NewReader(zipped.Body); err != nil {
		t.Error(err)
	} else if b, err := io.ReadAll(r); err != nil || !bytes.HasPrefix(b, []byte("import")) {
		t.Errorf("asset: %.20q, %v", b, err)
	}
	if best := get(asset, "gzip, deflate, br, zstd"); best.Header.Get("Content-Encoding") != "br" {
		t.Errorf("asset for a browser: %v", best.Header)
	}
	for _, accept := range []string{"", "gzip;q=0", "zstd"} {
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
