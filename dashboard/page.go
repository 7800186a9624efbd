package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/css"
	"github.com/tdewolff/minify/v2/js"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
)

//go:embed web
var webFiles embed.FS

// contentSecurityPolicy lets the page load nothing but what the hub serves, and gives script no way to make HTML from text.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'"

// pagePaths are what the page's own router knows; each answers with the same document.
var pagePaths = []string{
	"/{$}", "/devices", "/devices/{id}", "/commands", "/add", "/hub", "/settings", "/login", "/setup",
}

// page is the files of the dashboard as they are sent.
type page struct {
	version string // of all assets: part of their addresses, so that a browser may keep them for ever
	index   asset
	assets  map[string]asset // by path
}

// brotliLevel saves 5 % over gzip in the same time; the highest, 11, would save 12 %, and take thirty times as long at each start.
// Of the one file that is large, uPlot, another 5 % are worth the 50 ms that they take on a PC.
const (
	brotliLevel      = 5
	brotliLevelLarge = 10
	largeAsset       = 40 << 10 // bytes

	// brotliWindow is the logarithm of how far back is looked, in bytes: all of a file. What is looked through takes eight times
	// as much memory at the highest levels, with the default of 2²² bytes 32 MiB.
	brotliWindow = 17
)

// asset is one file.
type asset struct {
	mediaType string
	plain     []byte
	brotli    []byte // RFC 7932; nil if that saves nothing
	gzip      []byte // likewise
}

// embedded is the page of this program. Compressing it takes a while on a small machine, and longer under the race detector:
// it is done once.
var embedded = sync.OnceValues(func() (*page, error) {
	files, err := fs.Sub(webFiles, "web")
	if err != nil {
		return nil, err
	}
	return newPage(files)
})

func newPage(files fs.FS) (*page, error) {
	p := &page{assets: map[string]asset{}}
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(b))
		sum.Write(b)
		if !strings.HasPrefix(name, "vendor/") {
			if b, err = minified(name, b); err != nil {
				return fmt.Errorf("the dashboard's %s: %w", name, err)
			}
		}
		p.assets[name], err = newAsset(name, b)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.version = hex.EncodeToString(sum.Sum(nil))[:16]
	const indexName = "index.html"
	index, ok := p.assets[indexName]
	if !ok {
		return nil, fmt.Errorf("the dashboard has no %s", indexName)
	}
	delete(p.assets, indexName)
	p.index, err = newAsset(indexName, bytes.ReplaceAll(index.plain, []byte(`"/a/`), []byte(`"/a/`+p.version+`/`)))
	return p, err
}

// minified returns a script or stylesheet without what only its authors need; other files as they are.
func minified(name string, b []byte) ([]byte, error) {
	var out bytes.Buffer
	m := minify.New()
	switch path.Ext(name) {
	case ".js":
		err := js.Minify(m, &out, bytes.NewReader(b), nil)
		return out.Bytes(), err
	case ".css":
		err := css.Minify(m, &out, bytes.NewReader(b), nil)
		return out.Bytes(), err
	default:
		return b, nil
	}
}

func newAsset(name string, b []byte) (asset, error) {
	a := asset{mediaType: mediaTypeOf(name), plain: b}
	var br, gz bytes.Buffer
	zip, err := gzip.NewWriterLevel(&gz, gzip.BestCompression)
	if err != nil {
		return asset{}, err
	}
	level := brotliLevel
	if len(b) > largeAsset {
		level = brotliLevelLarge
	}
	for _, w := range []io.WriteCloser{brotli.NewWriterOptions(&br, brotli.WriterOptions{Quality: level, LGWin: brotliWindow}), zip} {
		if _, err := w.Write(b); err != nil {
			return asset{}, err
		}
		if err := w.Close(); err != nil {
			return asset{}, err
		}
	}
	if br.Len() < len(b) {
		a.brotli = br.Bytes()
	}
	if gz.Len() < len(b) {
		a.gzip = gz.Bytes()
	}
	return a, nil
}

// mediaTypeOf does not ask the machine's own tables for what a browser must not misunderstand.
func mediaTypeOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html":
		return "text/html; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	case ".png", ".ico":
		return mime.TypeByExtension(ext)
	default:
		return "text/plain; charset=utf-8"
	}
}

func (d *Dashboard) pageRoutes() {
	for _, pattern := range pagePaths {
		d.mux.HandleFunc("GET "+pattern, d.serveIndex)
	}
	d.mux.HandleFunc("GET /a/{version}/{name...}", d.serveAsset)
}

func (d *Dashboard) serveIndex(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	d.page.index.serve(w, r)
}

// serveAsset answers for the present version only: a page left over from another one has to be loaded anew.
func (d *Dashboard) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := d.page.assets[r.PathValue("name")]
	if !ok || r.PathValue("version") != d.page.version {
		w.Header().Set("Cache-Control", "no-store")
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	a.serve(w, r)
}

func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", a.mediaType)
	header.Set("Vary", "Accept-Encoding")
	body := a.plain
	switch {
	case a.brotli != nil && api.Accepts(r, "br"):
		header.Set("Content-Encoding", "br")
		body = a.brotli
	case a.gzip != nil && api.Accepts(r, "gzip"):
		header.Set("Content-Encoding", "gzip")
		body = a.gzip
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// protect sets what every answer carries for browsers.
func protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
