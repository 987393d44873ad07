// Package extras extends Harrow from another module: an extractor (feed), an
// operator (mask), an operator over rows (reading_time) and a sink (jsonl), one
// file each. To import the package is to make them known to job files.
package extras
