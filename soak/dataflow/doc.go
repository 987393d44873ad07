// Package dataflow holds tests that submit to a fake of Google Cloud Dataflow
// which does what Dataflow does: it takes the staged pipeline and the staged
// program from Cloud Storage, a fake too, and runs the one with processes of
// the other.
package dataflow
