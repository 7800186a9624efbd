package device_test

import (
	"fmt"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// A device says once what it measures, and then sends frames; a hub reads them with the schema at hand.
func Example() {
	schema := &device.Schema{Channels: []device.Channel{
		{ID: 1, Name: "temperature", Type: device.Int, Scale: -2, Unit: "Cel", Interval: 60_000},
		{ID: 2, Name: "door_open", Type: device.Bool},
	}}
	if err := schema.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	t := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()
	sent := device.Data{
		Seq:   1,
		Times: []int64{t, t + 60_000_000},
		Columns: []device.Column{
			{ID: 1, Type: device.Int, Bits: []uint64{2150, 2162}}, // hundredths of a degree
			{ID: 2, Type: device.Bool, Bits: []uint64{0, 1}, Present: []bool{false, true}},
		},
	}
	message, err := device.AppendData(nil, &sent, schema)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(message), "bytes")

	var received device.Data
	if err := device.ParseData(message, schema, &received); err != nil {
		fmt.Println(err)
		return
	}
	for i := range received.Times {
		for j := range received.Columns {
			column := &received.Columns[j]
			channel, _ := schema.Channel(column.ID)
			if value, ok := column.Value(i, channel); ok {
				fmt.Printf("%s %s %s\n", device.Moment(received.Times[i]).Format(time.TimeOnly), channel.Name, value.AppendText(nil))
			}
		}
	}
	// Output:
	// 20 bytes
	// 12:00:00 temperature 21.5
	// 12:01:00 temperature 21.62
	// 12:01:00 door_open true
}
