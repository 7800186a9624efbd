package firmwaresim

import (
	"context"
	"encoding/csv"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

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

// A short verification with a clock that is set, and kills.
func TestVerifyClock(t *testing.T) {
	report, err := VerifyClock(t.Context(), VerifyOptions{
		HubBinary: hubBinary(t), Devices: 8, Duration: 10 * time.Second, KillEvery: 4 * time.Second, Seed: 4,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if !report.Agrees() {
		t.Error("the hub does not cope with a clock that is set")
	}
	for _, q := range []string{"device", "converted", "received", "doubtful"} {
		if report.Qualities[q] == 0 {
			t.Errorf("no time is %q: the verification shows nothing", q)
		}
	}
	if report.Kills+report.Stops < 3 || report.Settings < 3 {
		t.Error("the hub was spared: the verification shows nothing")
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
	table, err := ReadTable(file, TableOptions{})
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
	const want = `2015-02-02T14:18:00.000000Z b false
2015-02-02T14:19:00.000000Z a 1
2015-02-02T14:19:00.000000Z b true
2015-02-02T14:19:00.000000Z a 5
2015-02-02T14:19:00.000000Z b false
2015-02-02T14:20:00.000000Z a 2
2015-02-02T14:20:00.000000Z b true
2015-02-02T14:20:00.000000Z a 2
2015-02-02T14:20:00.000000Z b true
2015-02-02T14:20:00.000000Z a 1.25
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

// A recording waits for the hub instead of overwriting what is not acknowledged.
func TestReplayWaits(t *testing.T) {
	recording, err := recordings.ReadFile(officeRecording)
	if err != nil {
		t.Fatal(err)
	}
	nobody := Target{URL: "wss://127.0.0.1:1"}
	p, err := newPlayer(nobody, Credential{"office", "token"}, readTable(t, string(recording)), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.sendAll(ctx, 1e9) }()
	await(t, "the buffer is as full as it may be", func() bool { return p.client.Stats().Unacked >= maxInFlight })
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if s := p.client.Stats(); s.Created != maxInFlight || s.Lost != 0 {
		t.Errorf("%+v", s)
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

// Two hubs in turns: at a rate, and as fast as they go.
func TestBench(t *testing.T) {
	hub := hubBinary(t)
	for _, o := range []BenchOptions{
		{HubBinary: hub, Devices: 20, Rate: 10, Rounds: 1, Duration: time.Second},
		{HubBinary: hub, Against: hub, Devices: 20, Window: 16, Rounds: 2, Duration: time.Second},
	} {
		result, err := Bench(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(result)
		if len(result.Rounds) != o.Rounds || o.Against != "" && len(result.Against) != o.Rounds {
			t.Fatalf("%d and %d rounds", len(result.Rounds), len(result.Against))
		}
		for _, r := range slices.Concat(result.Rounds, result.Against) {
			if r.Frames < 150 || r.FramesPerSecond < 100 || r.FrameBytes < 62 || r.FrameBytes > 68 || r.AckP99 < r.AckP50 || r.AckP50 <= 0 ||
				r.Resident == 0 || r.CPUPerFrame <= 0 {
				t.Errorf("%+v", r)
			}
		}
	}
}

// A fleet behind one address returns to a hub with its default settings: more devices than one address once could have.
func TestReconnect(t *testing.T) {
	r, err := Reconnect(t.Context(), ReconnectOptions{HubBinary: hubBinary(t), Devices: 300, Within: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(r)
	if r.Half <= 0 || r.All < r.Most || r.Most < r.Half || r.ResidentPeak == 0 || r.Totals.Acked != r.Totals.Created || r.Totals.Created == 0 {
		t.Errorf("%+v", r)
	}
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
		at := strings.Replace(row[0], " ", "T", 1) + ".000000Z"
		if r[0] != at || r[2] != header[c] || !sameDecimal(r[3], row[c]) {
			t.Fatalf("reading %d is %v, the file has %s, %s, %s", i, r, at, header[c], row[c])
		}
	}
}
