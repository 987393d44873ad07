// Package parse is the stage that turns captures into records: for every page
// that was fetched, or was not modified since, it applies the job's rules to
// the body and writes the rows of each record to the table records/NAME.
package parse
