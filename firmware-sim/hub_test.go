package firmwaresim

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// binaryDir is where the tests' hub is built; TestMain sets it and removes it.
var binaryDir string

// buildHub builds the program once for all tests of the package.
var buildHub = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(binaryDir, "telemetry-hub")
	cmd := exec.Command("go", "build", "-o", binary, "../cmd/telemetry-hub")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return binary, nil
})

func hubBinary(t *testing.T) string {
	t.Helper()
	binary, err := buildHub()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// startHub runs a hub until the test ends.
func startHub(t *testing.T) *childHub {
	t.Helper()
	h, err := newChildHub(hubBinary(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.kill)
	if err := h.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// addDevices registers devices.
func addDevices(t *testing.T, h *childHub, count int) (Target, []Credential) {
	t.Helper()
	credentials, err := h.addDevices(t.Context(), count)
	if err != nil {
		t.Fatal(err)
	}
	target, err := h.target()
	if err != nil {
		t.Fatal(err)
	}
	return target, credentials
}

// await polls until condition holds.
func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// A short verification against the real program, with kills, and nothing left to complain about.
func TestVerify(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "files")
	report, err := Verify(t.Context(), VerifyOptions{
		HubBinary: hubBinary(t), Devices: 5, Duration: 8 * time.Second, KillEvery: 2 * time.Second, Seed: 5, Keep: keep,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if !report.Agrees() {
		t.Error("the books do not close")
	}
	if report.Kills == 0 || report.Restarts == 0 || report.Books.Rejected == 0 || report.Books.Duplicates == 0 {
		t.Error("the hub was spared: the verification shows nothing")
	}
	if _, err := os.Stat(filepath.Join(keep, "data", "journal")); err != nil {
		t.Errorf("the files were not kept: %v", err)
	}
}

// A recording comes back row for row, equal to the file, although the hub is killed in the middle.
func TestReplayAcrossKill(t *testing.T) {
	h := startHub(t)
	target, credentials := addDevices(t, h, 1)
	file, err := os.Open("data/occupancy/occupancy-1.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	table, err := ReadTable(file, "", "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlayer(target, credentials[0], table, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	played := make(chan error, 1)
	// Two days in about five seconds, a frame for each row: the kill falls in between.
	go func() { played <- p.play(t.Context(), 30_000) }()
	await(t, "some rows are acknowledged", func() bool { return p.client.Stats().Acked > 300 })
	h.kill()
	if s := p.client.Stats(); s.Acked > 2000 {
		t.Fatalf("the kill came too late: %+v", s)
	}
	if err := h.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-played; err != nil {
		t.Fatal(err)
	}
	if err := p.client.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.totals().settled(); err != nil {
		t.Error(err)
	}
	compareFile(t, h, credentials[0].Device, "data/occupancy/occupancy-1.csv")
}

// A file with repeated times and steps back comes back with every row: those of one time in the order of the file.
func TestReplayKeepsRows(t *testing.T) {
	const content = `time,a,b
2015-02-02 14:19:00,1,true
2015-02-02 14:20:00,2,true
2015-02-02 14:20:00,2,true
2015-02-02 14:20:00,1.25,
2015-02-02 14:18:00,,false
2015-02-02 14:19:00,5,false
`
	const want = `2015-02-02T14:18:00.000000000Z b false
2015-02-02T14:19:00.000000000Z a 1.00
2015-02-02T14:19:00.000000000Z b true
2015-02-02T14:19:00.000000000Z a 5.00
2015-02-02T14:19:00.000000000Z b false
2015-02-02T14:20:00.000000000Z a 2.00
2015-02-02T14:20:00.000000000Z b true
2015-02-02T14:20:00.000000000Z a 2.00
2015-02-02T14:20:00.000000000Z b true
2015-02-02T14:20:00.000000000Z a 1.25
`
	path := filepath.Join(t.TempDir(), "steps.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	h := startHub(t)
	target, credentials := addDevices(t, h, 2)
	for i, speed := range []float64{0, 100_000} { // all rows in one frame, then each in its own
		id := credentials[i].Device
		totals, err := Replay(t.Context(), ReplayOptions{
			Target: target, Credentials: credentials, Device: id, File: path, Speed: speed,
			Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if frames := map[bool]uint64{true: 1, false: 6}[speed == 0]; totals.Acked != frames {
			t.Errorf("speed %g: %d frames acked, want %d", speed, totals.Acked, frames)
		}
		var got strings.Builder
		for _, r := range readAll(t, h, id) {
			got.WriteString(r[0] + " " + r[2] + " " + r[3] + "\n")
		}
		if got.String() != want {
			t.Errorf("speed %g: got\n%swant\n%s", speed, got.String(), want)
		}
	}
}

// A fleet of all profiles is acknowledged to the last frame.
func TestRun(t *testing.T) {
	h := startHub(t)
	target, credentials := addDevices(t, h, 6)
	totals, err := Run(t.Context(), RunOptions{
		Target: target, Credentials: credentials, Devices: 6, Rate: 20, Profile: MixedProfile, Duration: time.Second, Seed: 1,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if totals.Created == 0 || totals.Acked != totals.Created {
		t.Errorf("%v", totals)
	}
	books, err := h.books(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stored := uint64(0)
	for _, b := range books {
		if b.Frames == 0 {
			t.Error("a device stored nothing")
		}
		stored += b.Frames
	}
	if stored != totals.Created {
		t.Errorf("%d frames created, %d stored", totals.Created, stored)
	}
}

// The demo's devices send what they say they do, and leave when asked to.
func TestDemo(t *testing.T) {
	h := startHub(t)
	target, err := h.target()
	if err != nil {
		t.Fatal(err)
	}
	var credentials []Credential
	for _, d := range DemoDevices() {
		path := h.file(d.ID + ".csv")
		err := h.command(t.Context(), func(io.Reader) error { return nil }, "device", "add", d.ID, "--kind", d.Kind, "--output", path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := ReadCredentials(path)
		if err != nil {
			t.Fatal(err)
		}
		credentials = append(credentials, c...)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Demo(ctx, target.URL, target.TLS, credentials, slog.New(slog.DiscardHandler)) }()
	for _, d := range DemoDevices() {
		await(t, d.ID+" has readings", func() bool { return len(readAll(t, h, d.ID)) > 0 })
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// The office's readings are of the recording, and of now.
	rows := readAll(t, h, "office")
	at, err := time.Parse(time.RFC3339Nano, rows[0][0])
	if err != nil || time.Since(at) > time.Hour || time.Since(at) < 0 {
		t.Errorf("the first reading is of %v, %v", at, err)
	}
	if rows[0][2] != "temperature" || !sameDecimal(rows[0][3], "21.76") {
		t.Errorf("the first reading is %v", rows[0])
	}
}

func TestBench(t *testing.T) {
	r, err := Bench(t.Context(), BenchOptions{HubBinary: hubBinary(t), Devices: 20, Rate: 10, Duration: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if r.Frames == 0 || r.FrameBytes < 15 || r.FrameBytes > 40 || r.AckP99 < r.AckP50 || r.AckP50 <= 0 || r.Resident == 0 ||
		r.Totals.Acked != r.Totals.Created || r.Totals.Created < r.Frames {
		t.Errorf("%+v", r)
	}
}

func TestHubThatDoesNotStart(t *testing.T) {
	if _, err := newChildHub("/nonexistent/hub", t.TempDir()); err == nil {
		t.Error("a hub that is not there was found")
	}
	h, err := newChildHub(hubBinary(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.file("hub.toml"), []byte("nonsense = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err = h.start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("error %v, want one that quotes the hub's log", err)
	}
}

func TestParseReadings(t *testing.T) {
	const file = "time,device,channel,value\n" +
		"2026-11-21T08:00:00.000001000Z,d,note,\"a \"\"quoted\"\", text\"\n"
	var got []reading
	err := parseReadings(strings.NewReader(file), "d", func(r reading) { got = append(got, r) })
	if err != nil || len(got) != 1 || got[0].value != `a "quoted", text` || got[0].time != 1795248000000001 {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		"",
		"time,device,channel\n",
		"time,device,channel,value\n2026-11-21T08:00:00Z,other,a,1\n",
		"time,device,channel,value\nyesterday,d,a,1\n",
		"time,device,channel,value\n2026-11-21T08:00:00.000000001Z,d,a,1\n",
		"time,device,channel,value\n2026-11-21T08:00:00Z,d,a\n",
	} {
		if err := parseReadings(strings.NewReader(bad), "d", func(reading) {}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestReadyAddress(t *testing.T) {
	got, ok := readyAddress("telemetry-hub ready: https://127.0.0.2:41234 (certificate sha256 00)")
	if !ok || got != "127.0.0.2:41234" {
		t.Errorf("%q, %v", got, ok)
	}
	for _, bad := range []string{"", "telemetry-hub ready: nonsense", "hello https://127.0.0.2:41234"} {
		if got, ok := readyAddress(bad); ok {
			t.Errorf("%q gave %q", bad, got)
		}
	}
}

// readAll returns the rows of `readings --format csv` without the header.
func readAll(t *testing.T, h *childHub, id string) (rows [][]string) {
	t.Helper()
	err := h.command(t.Context(), func(r io.Reader) (err error) {
		rows, err = csv.NewReader(r).ReadAll()
		return err
	}, "readings", id, "--format", "csv")
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) == 0 {
		t.Fatalf("%s: not even a header", id)
	}
	return rows[1:]
}

// compareFile compares what the hub gives back of a device with the text of the file, cell by cell.
func compareFile(t *testing.T, h *childHub, id, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	cells, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got := readAll(t, h, id)
	header, cells := cells[0], cells[1:]
	if want := len(cells) * (len(header) - 1); len(got) != want {
		t.Fatalf("%d readings, the file has %d", len(got), want)
	}
	for i, r := range got {
		row, c := cells[i/(len(header)-1)], i%(len(header)-1)+1
		at := strings.Replace(row[0], " ", "T", 1) + ".000000000Z"
		if r[0] != at || r[2] != header[c] || !sameDecimal(r[3], row[c]) {
			t.Fatalf("reading %d is %v, the file has %s, %s, %s", i, r, at, header[c], row[c])
		}
	}
}
