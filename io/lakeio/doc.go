// Package lakeio is the lake a harvest stands on: tables of Arrow parts in a
// workspace, the manifests that commit them, the shard records of fetch,
// run.json, the inputs of a run and the job lock.
//
// # Layout
//
//	<workspace>/<job>/lock                                  names the active run (held by flock)
//	<workspace>/<job>/runs/<run>/run.json                   what a run is: see [Run]
//	<workspace>/<job>/runs/<run>/stop                       its presence ends all starts
//	<workspace>/<job>/runs/<run>/inputs/<digest>            seed files as they were when the run began
//	<workspace>/<job>/runs/<run>/status/<worker>.json       progress, rewritten every few seconds
//	<workspace>/<job>/runs/<run>/<stage>/manifest.json      the commit: see [Manifest]
//	<workspace>/<job>/runs/<run>/<stage>/manifest.arrow     the list of its parts
//	<workspace>/<job>/runs/<run>/<stage>/<table>/….arrow    parts
//	<workspace>/<job>/runs/<run>/<stage>/shuffle/           spill of a shuffle, sorted, lz4
//	<workspace>/<job>/runs/<run>/fetch-<round>/shard-NNNNN.json      see [ShardRecord]
//	<workspace>/<job>/runs/<run>/fetch-<round>/shard-NNNNN/<roll>.<table>.arrow
//
// Every URI in a part, manifest, shard record or row is relative to the
// workspace, with slashes: a workspace can be moved.
//
// # Formats
//
// Parts are Arrow IPC files (the format with a footer, also known as Feather
// v2), zstd-compressed. The schema's metadata carries harrow.table and
// harrow.version; a reader refuses another table or a newer version by name of
// the file. Ids and digests are lower-case hexadecimal text, times are
// timestamps in microseconds, UTC. The columns of each table are listed with
// their meaning by [Tables]. JSON files carry a "version" too.
//
// # Atomicity
//
// Three operations of [Store] carry every protocol: Create (if absent), Swap
// (compare-and-swap) and a Writer whose file appears whole at Close or not at
// all. Nothing else in Harrow may assume anything of a file system.
package lakeio
