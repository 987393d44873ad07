// Package lakeio is the lake a harvest stands on: tables of Arrow parts in a
// workspace, the manifests that commit them, the shard records of fetch,
// run.json, the inputs of a run and the job lock.
//
// # Layout
//
//	<workspace>/<job>/lock                                  names the active run (held by flock, elsewhere a lease): see [Holder]
//	<workspace>/<job>/workers.json                          names the run whose worker processes may be at work: see [EndWorkers]
//	<workspace>/<job>/runs/<run>/run.json                   what a run is: see [Run]
//	<workspace>/<job>/runs/<run>/stop                       its presence ends all starts
//	<workspace>/<job>/runs/<run>/inputs/<digest>            seed files as they were when the run began
//	<workspace>/<job>/runs/<run>/status/<worker>.json       progress, rewritten every few seconds: see [Status]
//	<workspace>/<job>/runs/<run>/<stage>/manifest.json      the commit: see [Manifest]
//	<workspace>/<job>/runs/<run>/<stage>/manifest.arrow     the list of its parts, table "parts"
//	<workspace>/<job>/runs/<run>/<stage>/<table>/….arrow    parts
//	<workspace>/<job>/runs/<run>/<stage>/shuffle/           spill of a shuffle, sorted, lz4
//	<workspace>/<job>/runs/<run>/fetch-<round>/workers/<nonce>.json  the right of a worker process to start exchanges: see [WorkerPermit]
//	<workspace>/<job>/runs/<run>/fetch-<round>/shard-NNNNN.json      see [ShardRecord]
//	<workspace>/<job>/runs/<run>/fetch-<round>/shard-NNNNN/<roll>.<table>.arrow
//
// Every URI in a part, manifest, shard record or row is relative to the
// workspace, with slashes: a workspace can be moved.
//
// # Formats
//
// Parts are Arrow IPC files (the format with a footer, also known as Feather
// v2), zstd-compressed; shuffle files are lz4-compressed. The schema's metadata
// carries harrow.table and harrow.version; a reader refuses another table or a
// newer version by name of the file. Ids and digests are lower-case hexadecimal
// text, times are timestamps in microseconds, UTC. The columns of each table
// are listed with their meaning in TABLES.md and by [Tables]. JSON files carry
// a "version" too: 1.
//
// Between the end-of-stream marker and the footer, where other readers of
// Arrow don't look, a part has checksums (CRC-32C, Castagnoli; numbers are
// little-endian):
//
//	for each batch    int64 offset of its end · uint32 sum of all bytes since the end of the batch before · 4 zero bytes
//	then, 16 bytes    uint32 number of batches · uint32 sum of the above · uint32 sum of all that follows · "HRW1"
//	then              the footer · int32 its length · "ARROW1"
//
// A file without them, or with a wrong one, is [ErrCorrupt].
//
// # Atomicity
//
// Three operations of [Store] carry every protocol: Create (if absent), Swap
// (compare-and-swap) and a Writer whose file appears whole at Close or not at
// all. Nothing else in Harrow may assume anything of a file system.
//
// What survives a power cut: a manifest with its parts, run.json, a fetch shard
// that is done with its rolls. Rolls of a shard that isn't done may be lost,
// wholly or in part: [FetchShard.Claim] drops these, and they are asked again.
package lakeio
