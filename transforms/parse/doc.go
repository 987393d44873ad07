// Package parse is the stage that turns captures into records: for every page
// that was fetched, or was not modified since, it applies the job's rules to
// the body and writes the rows of each record to the table records/NAME.
//
// Each goroutine that parses has one page's tree at a time, in memory that the
// next page uses again: 2 to 4 bytes for each byte of an ordinary page, so up to
// 40 MiB for one of limits.document (10 MiB by default), and never more than about
// 340 MiB, whatever the page, by what [rules.Limits] lets it have. Beyond 8 MiB it
// is given back at the end of the page.
package parse
