// Package firmwaresim is a bench full of devices: fleets of simulated sensors, recorded data played back as a device,
// faults on purpose, and the proof that a hub lost nothing.
//
// Everything here is a device of telemetry.v1, built on device/client. A hub is only ever met through its socket and
// through its command line, as a user would meet it, so that what is proved here is proved of the program itself.
//
//	Run     a fleet of one profile, for people and load
//	Replay  a CSV file as a device
//	Verify  a hub killed again and again, then every frame accounted for and every value compared
//	Bench   what a frame costs a hub: CPU, latency, memory, disk
//	Demo    the devices of `telemetry-hub demo`
package firmwaresim
