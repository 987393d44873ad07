// Package docs holds the documents that the command hands out.
package docs

import _ "embed"

// JobSchema is the JSON Schema (draft 2020-12) of job files, version 1. It is
// made of the types that read them: go test ./internal/jobfile -run Schema -update.
//
//go:embed job.schema.json
var JobSchema []byte
