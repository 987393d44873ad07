// Package dataflow is what there is to submitting a job to Google Cloud
// Dataflow that needs no Beam: the options and what is wrong with them, the
// worker's program, staging, the job's life from its submission to its end,
// and the secrets of workers.
package dataflow
