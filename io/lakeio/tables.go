package lakeio

import (
	"strings"
	"time"

	"github.com/harrowdata/harrow"
)

type (
	req  = harrow.Request
	capt = harrow.Capture
	exch = harrow.Exchange
	lnk  = harrow.Link
	rej  = harrow.Reject
	page = harrow.PageState
)

func requestColumns() []column[req] {
	return []column[req]{
		id("id", "digest of method, URL, body and the headers that vary the answer", func(r *req) *harrow.ID { return &r.ID }),
		text("url", "canonical URL", func(r *req) *string { return &r.URL }),
		text("method", "HTTP method", func(r *req) *string { return &r.Method }),
		headers("headers", "headers that vary the answer", func(r *req) *[]harrow.Header { return &r.Headers }),
		payload("body", "request body", func(r *req) *[]byte { return &r.Body }),
		text("key", "politeness key; where that is the address, the host: addresses are found when hosts are asked", func(r *req) *string { return &r.Key }),
		text("domain", "registered domain: what fetch shards go by", func(r *req) *string { return &r.Domain }),
		int32s("depth", "links from a seed", func(r *req) *int32 { return &r.Depth }),
		int32s("priority", "higher first within a key", func(r *req) *int32 { return &r.Priority }),
		text("kind", "page or sitemap", func(r *req) *string { return &r.Kind }),
		id("parent", "id of the page that linked here; null for a seed", func(r *req) *harrow.ID { return &r.Parent }),
		text("carry", "JSON object of columns handed on to the records", func(r *req) *string { return &r.Carry }),
		times("not_before", "until when the politeness key asked for rest; null: it did not", func(r *req) *time.Time { return &r.NotBefore }),
	}
}

// Requests holds what a round is to ask for: of stage discover what the first
// one begins with, of a round what its bundles left to the next one
// (fetch.max_bundle_time). Version 2 added not_before.
var Requests = newTable("requests", 2, requestColumns()...)

// DeferredRequests (table deferred) holds what was not asked for now; it is
// asked first in the next run. Version 2 added not_before.
var DeferredRequests = newTable("deferred", 2, append(requestColumns(),
	text("reason", "why: the capture's code", func(r *req) *string { return &r.Reason }))...)

// Captures holds one row per request and round that admitted it: its outcome
// and metadata, and where its body lies. A row of outcome deferred and code
// bundle_time is not the run's last word on the request: the next round has
// another.
var Captures = newTable("captures", 1,
	id("id", "of the request", func(c *capt) *harrow.ID { return &c.ID }),
	text("url", "canonical URL asked for", func(c *capt) *string { return &c.URL }),
	text("final_url", "URL that answered, after redirects", func(c *capt) *string { return &c.FinalURL }),
	text("method", "HTTP method", func(c *capt) *string { return &c.Method }),
	text("kind", "page or sitemap", func(c *capt) *string { return &c.Kind }),
	text("key", "politeness key of url", func(c *capt) *string { return &c.Key }),
	int32s("depth", "links from a seed", func(c *capt) *int32 { return &c.Depth }),
	id("parent", "id of the page that linked here; null for a seed", func(c *capt) *harrow.ID { return &c.Parent }),
	text("carry", "JSON object of columns handed on to the records", func(c *capt) *string { return &c.Carry }),
	int32s("status", "HTTP status of the last answer; 0 when there was none", func(c *capt) *int32 { return &c.Status }),
	text("outcome", "fetched, not_modified, redirected, gone, denied, deferred or failed", func(c *capt) *harrow.Outcome { return &c.Outcome }),
	text("class", "transient, permanent, data or system; null when nothing went wrong", func(c *capt) *harrow.Class { return &c.Class }),
	text("code", "the reason in one word; bundle_time: the next round admits the request again and has the outcome", func(c *capt) *string { return &c.Code }),
	text("content_type", "header Content-Type", func(c *capt) *string { return &c.ContentType }),
	headers("headers", "headers of the last answer; of a job with secrets without cookies' values and what secrets a header tells", func(c *capt) *[]harrow.Header { return &c.Headers }),
	text("digest", "SHA-256 of the body, hexadecimal; null without a body", func(c *capt) *string { return &c.Digest }),
	int64s("body_bytes", "size of the body after content-decoding", func(c *capt) *int64 { return &c.BodyBytes }),
	bools("truncated", "the body is larger than was kept", func(c *capt) *bool { return &c.Truncated }),
	int32s("attempts", "exchanges tried for the last hop, robots.txt aside", func(c *capt) *int32 { return &c.Attempts }),
	times("started_at", "start of the first exchange", func(c *capt) *time.Time { return &c.StartedAt }),
	int64s("elapsed_ms", "from started_at to the end of the last exchange, ms", func(c *capt) *int64 { return &c.ElapsedMS }),
	text("remote_addr", "IP address and port that answered", func(c *capt) *string { return &c.RemoteAddr }),
	text("body_part", "URI of the bodies part, relative to the workspace", func(c *capt) *string { return &c.BodyPart }),
	int64s("body_row", "the body's first row in body_part, from 0", func(c *capt) *int64 { return &c.BodyRow }),
	int64s("body_rows", "number of rows of the body", func(c *capt) *int64 { return &c.BodyRows }),
)

// Bodies holds payloads as received after content-decoding, in rows of at most
// ChunkBytes, stored once per digest within a part.
var Bodies = newTable("bodies", 1,
	text("digest", "SHA-256 of the whole body, hexadecimal", func(b *harrow.Body) *string { return &b.Digest }),
	int32s("chunk", "position of the row in its body, from 0", func(b *harrow.Body) *int32 { return &b.Chunk }),
	payload("body", "at most 4 MiB of the payload", func(b *harrow.Body) *[]byte { return &b.Body }),
)

// Exchanges holds one thin row per HTTP request sent.
var Exchanges = newTable("exchanges", 1,
	id("id", "of the request it was sent for", func(e *exch) *harrow.ID { return &e.ID }),
	text("kind", "page, sitemap, robots or login", func(e *exch) *string { return &e.Kind }),
	text("key", "politeness key of url", func(e *exch) *string { return &e.Key }),
	text("url", "URL asked; of a login without its query", func(e *exch) *string { return &e.URL }),
	int32s("hop", "redirects before this one", func(e *exch) *int32 { return &e.Hop }),
	int32s("attempt", "try of this hop, from 1", func(e *exch) *int32 { return &e.Attempt }),
	text("proxy", "proxy that carried it", func(e *exch) *string { return &e.Proxy }),
	times("started_at", "when the request was about to be written to a connection; where there was none, when the exchange began", func(e *exch) *time.Time { return &e.StartedAt }),
	times("ended_at", "end of the body", func(e *exch) *time.Time { return &e.EndedAt }),
	int32s("status", "HTTP status; 0 when there was none", func(e *exch) *int32 { return &e.Status }),
	text("retry_after", "header Retry-After", func(e *exch) *string { return &e.RetryAfter }),
	text("error", "what failed", func(e *exch) *string { return &e.Error }),
)

// Links holds what pages, redirects and sitemaps point to, in scope and
// within the caps. Version 2 added headers and kind.
var Links = newTable("links", 2,
	id("id", "of the request it becomes", func(l *lnk) *harrow.ID { return &l.ID }),
	id("from_id", "of the request it was found by; null where a robots.txt named it", func(l *lnk) *harrow.ID { return &l.FromID }),
	text("url", "canonical URL", func(l *lnk) *string { return &l.URL }),
	text("method", "HTTP method", func(l *lnk) *string { return &l.Method }),
	headers("headers", "headers that vary the answer", func(l *lnk) *[]harrow.Header { return &l.Headers }),
	payload("body", "request body", func(l *lnk) *[]byte { return &l.Body }),
	text("text", "text of the link", func(l *lnk) *string { return &l.Text }),
	text("rel", "link, redirect or sitemap", func(l *lnk) *string { return &l.Rel }),
	text("kind", "of the request it becomes, page or sitemap; null: page", func(l *lnk) *string { return &l.Kind }),
	int32s("depth", "of the request it becomes", func(l *lnk) *int32 { return &l.Depth }),
	text("carry", "JSON object of columns handed on", func(l *lnk) *string { return &l.Carry }),
	bools("same_domain", "within the registered domain of the page: followed in the same round", func(l *lnk) *bool { return &l.SameDomain }),
)

// Rejects holds dead letters.
var Rejects = newTable("rejects", 1,
	id("id", "of the request; null where there is none", func(r *rej) *harrow.ID { return &r.ID }),
	text("stage", "stage that rejected it", func(r *rej) *string { return &r.Stage }),
	text("class", "transient, permanent, data or system", func(r *rej) *harrow.Class { return &r.Class }),
	text("code", "the reason in one word", func(r *rej) *string { return &r.Code }),
	text("reason", "the reason in a sentence", func(r *rej) *string { return &r.Reason }),
	text("url", "URL it is about", func(r *rej) *string { return &r.URL }),
	text("record", "record it is about", func(r *rej) *string { return &r.Record }),
	text("field", "field it is about", func(r *rej) *string { return &r.Field }),
	text("value", "value that was refused", func(r *rej) *string { return &r.Value }),
	int32s("attempts", "exchanges tried", func(r *rej) *int32 { return &r.Attempts }),
	times("at", "when", func(r *rej) *time.Time { return &r.At }),
	text("payload", "JSON: the request, line or row, enough to replay it", func(r *rej) *string { return &r.Payload }),
)

// Pages is the job's memory across runs: one row per request id, sorted by id
// within a part. See [CurrentPages] and [Lake.EachPage].
var Pages = newTable("pages", 1,
	id("id", "of the request", func(p *page) *harrow.ID { return &p.ID }),
	text("url", "canonical URL asked for", func(p *page) *string { return &p.URL }),
	text("final_url", "URL that answered: the validators are its", func(p *page) *string { return &p.FinalURL }),
	text("etag", "header ETag of the last answer; null: none that can be asked with", func(p *page) *string { return &p.ETag }),
	text("last_modified", "header Last-Modified, the same", func(p *page) *string { return &p.LastModified }),
	text("content_type", "header Content-Type", func(p *page) *string { return &p.ContentType }),
	headers("headers", "headers of the last answer, updated by each 304 since", func(p *page) *[]harrow.Header { return &p.Headers }),
	text("digest", "SHA-256 of the body, hexadecimal; null without a body", func(p *page) *string { return &p.Digest }),
	int64s("body_bytes", "size of the body after content-decoding", func(p *page) *int64 { return &p.BodyBytes }),
	bools("truncated", "the body is larger than was kept", func(p *page) *bool { return &p.Truncated }),
	text("body_part", "URI of the bodies part, of the run that got the body", func(p *page) *string { return &p.BodyPart }),
	int64s("body_row", "the body's first row in body_part, from 0", func(p *page) *int64 { return &p.BodyRow }),
	int64s("body_rows", "number of rows of the body", func(p *page) *int64 { return &p.BodyRows }),
	text("variant", "digest of what the job sent along with every request then", func(p *page) *string { return &p.Variant }),
	times("first_seen", "first answer that was fetched or not_modified", func(p *page) *time.Time { return &p.FirstSeen }),
	times("last_seen", "last one", func(p *page) *time.Time { return &p.LastSeen }),
	text("outcome", "of the last run that admitted the request", func(p *page) *harrow.Outcome { return &p.Outcome }),
	text("run", "that run", func(p *page) *string { return &p.Run }),
	int32s("absences", "complete runs in a row that didn't admit it", func(p *page) *int32 { return &p.Absences }),
)

// partsList is the list of parts beside a manifest.
var partsList = newTable("parts", 1,
	text("table", "table of the part", func(p *harrow.Part) *string { return &p.Table }),
	text("uri", "file, relative to the workspace", func(p *harrow.Part) *string { return &p.URI }),
	int64s("rows", "rows in the file", func(p *harrow.Part) *int64 { return &p.Rows }),
	int64s("bytes", "size of the file", func(p *harrow.Part) *int64 { return &p.Bytes }),
	int64s("raw", "size of the rows before compression", func(p *harrow.Part) *int64 { return &p.Raw }),
	int64s("shard", "of the shuffle or fetch that wrote it", func(p *harrow.Part) *int { return &p.Shard }),
	text("tag", "what the writer tells its reader", func(p *harrow.Part) *string { return &p.Tag }),
)

// ColumnInfo documents one column.
type ColumnInfo struct{ Name, Type, Doc string }

// TableInfo documents one table.
type TableInfo struct {
	Name    string
	Version int
	Columns []ColumnInfo
}

func (t *Table[R]) info() TableInfo {
	info := TableInfo{Name: t.name, Version: t.version}
	for _, c := range t.columns {
		info.Columns = append(info.Columns, ColumnInfo{c.field.Name, c.field.Type.String(), c.doc})
	}
	return info
}

// Tables lists the fixed tables with their columns; records/NAME has the
// job's columns, then [harrow.Provenance].
func Tables() []TableInfo {
	return []TableInfo{Requests.info(), DeferredRequests.info(), Captures.info(), Bodies.info(),
		Exchanges.info(), Links.info(), Rejects.info(), Pages.info(), partsList.info()}
}

// versions holds the versions of the fixed tables that this release writes,
// by name.
var versions = func() map[string]int {
	m := map[string]int{}
	for _, t := range Tables() {
		m[t.Name] = t.Version
	}
	return m
}()

// knownVersion is the version of a table that this release writes; 0 for a
// table it doesn't know.
func knownVersion(table string) int {
	if strings.HasPrefix(table, RecordsPrefix) {
		return recordsVersion
	}
	return versions[table]
}
