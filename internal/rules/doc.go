// Package rules applies the parse rules and follow rules of a job file to
// pages. [Compile] and [CompileFollow] read the rules once; a [Document] is
// one page, whose text, tree and JSON-LD are made when the first rule asks for
// them and shared by all of them. The CSS selectors of all rules that apply to a
// page are evaluated in one walk over its tree.
//
// # A field's steps
//
// In this order:
//
//  1. Select. The first match counts; with `list: all` or a list's type every
//     one. css takes an element's text content, "SELECTOR@ATTRIBUTE" the value
//     of the first matching element that has the attribute; ":scope" and
//     "@ATTRIBUTE" mean the rule's element itself, other selectors its
//     descendants. xpath is XPath 1.0 from the rule's element ("//" from the
//     root): the text of a node, or the computed text, number or truth.
//     jsonpath is a JSONPath (RFC 9535) in the body's JSON value, jsonld one
//     in the page's JSON-LD nodes in document order, the first node in which it
//     selects something wins; an array stands for its elements, and members
//     come by name. regex alone selects in the page's decoded text. from takes
//     what is known of the capture, or what it carries. column takes the cell
//     of a row, or the member of that name, and jsonpath then selects in the
//     row: see "Data files". any takes the first of
//     its alternatives that selects a text that isn't empty; one that wants
//     another kind of page (elements, JSON) than this selects nothing.
//  2. White space: see [normal.Space]. A text that is empty then counts as
//     nothing selected, unless the field maps the empty text.
//  3. regex: the group named value, else group 1, else the whole match. No
//     match counts as nothing selected.
//  4. map: the exact text. A text that isn't in it is a fault (code "map").
//  5. type. A text that can't be read is a fault (code "type"). See [normal]
//     for what is read.
//
// Nothing selected is null, in a list too, or the field's default; `required`
// makes it a fault (code "required").
//
// # Kinds of pages
//
// css, xpath and jsonld want HTML or XML, by the Content-Type; none is taken
// for HTML, which is read as a browser with scripts does: what is in noscript is
// text; that of a template counts as below it. XML is read as XML, without what
// a document type declares; XHTML as browsers read HTML. jsonpath reads any body that is JSON. A body that is a
// gzip file is decompressed first, and its name says what it holds where the
// server doesn't.
//
// # Rejects
//
// A faulty field rejects its row as a whole: one reject a row, for the first
// faulty field in the order of the rule's fields. Its payload is a JSON object
// {"rule", "ordinal", "fields"}, the latter with what every field selected. An
// ordinal counts what the rules found, so a rejected row keeps its own and a
// mended rule moves no other row.
//
// What concerns the page rejects it for the rules that need the missing piece,
// once a page and code: "document" (over the limit, decompressed too), "gzip"
// (a broken gzip file), "content_type" (the page is of another kind),
// "elements" (too many of them, or of JSON values), "xml" and "json" (it is none),
// "cost" (selectors visit too many nodes or too much text; rows before stay), "rows" (too many
// rows, or more text in them than is held; those before stay), "url" (the final
// URL is none). Extractors add "nesting" ([harrow.HTML] was asked for, and
// elements are over 512 deep), "extract" (it returned an error), "panic", and
// "extractor" (a row with an unknown record or column or a wrong
// Go type); after the first two none of its rows of that page count.
//
// # Memory
//
// Texts that are selected are views of the page, and what they are put together
// in is used again for the next row: those of a [Row] and a [Link] are valid
// until they are taken. Rejects and traces ([Program.Explain]) have copies.
//
// A document takes 40 bytes for each node of its page and 16 for each attribute,
// of which there are no more than [Limits] says, and than one for each byte of
// the page and a few thousand (package html5; ordinary pages have one for every
// fifteen bytes); and 4 for each element that a selector of a rule selects.
// Documents of one [Pages] take turns in that memory: there is as much of it as
// documents are open at once. More than 8 MiB, which pages of 3 MB take, is given
// up once the document is closed.
//
// # Data files
//
// A rule with rows streams its data file through package rowdata, whatever
// limits.document says, which bounds a single row of it; only JSON whose rows
// can't be told while it streams is read as a whole. The number of rows has no
// bound but the file's size, that of rejected ones has that of a page.
//
// Rows that can't be read are rejects with the codes "row" (it breaks the
// format's grammar, or has another number of cells than the first line),
// "row_size" (longer, wider or deeper than is read) and "encoding"; the file
// goes on behind them. "columns" (the first line of a CSV file lacks one that
// the rule names) and "data" (broken JSON or gzip, a compression bomb) end it;
// the rows before stay. The payload of a rejected row has its line, its offset
// in the decoded text, and its text up to 8 KiB.
//
// # Names of rules
//
// Column _rule holds RECORD#N for the Nth entry of `parse`, from 1, or the
// extractor's name.
package rules
