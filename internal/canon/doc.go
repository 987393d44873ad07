// Package canon gives every URL one spelling, every request one id, and says
// which URLs are in a job's scope.
//
// # The canonical form, version 1
//
// A reference is first parsed by the WHATWG URL Standard
// (https://url.spec.whatwg.org), as a browser would: white space and control
// characters at both ends and tabs and line breaks inside are dropped, a
// backslash counts as a slash, a relative reference is resolved against its
// base. On top of that:
//
//   - the scheme is http or https, anything else is [ErrScheme];
//   - a user name or password is [ErrUserinfo];
//   - the fragment is removed;
//   - the host is lower-case ASCII (punycode), an IPv4 address has four decimal
//     parts, an IPv6 address is compressed in brackets; one trailing dot is
//     removed, an empty label or more than 253 bytes is [ErrSyntax];
//   - the scheme's default port is removed;
//   - an empty path is "/", and dot segments are resolved, percent-encoded ones
//     too; empty segments stay;
//   - in path and query hexadecimal digits after % are upper-case; an encoded
//     unreserved character (RFC 3986 2.3) is decoded; a % that begins no escape
//     becomes %25; a byte that RFC 3986 does not allow there is encoded, save
//     [ and ]; and ' is encoded in a query, as browsers do. Nothing else is
//     encoded or decoded, so %2F and / stay different;
//   - query parameters whose name matches a pattern of [Policy].Strip are
//     removed with their separator; then, if asked for, the rest is sorted by
//     name, equal names keeping their order; an empty query loses its "?";
//   - more than [MaxBytes] bytes, before or after, is [ErrTooLong].
//
// Canonicalising is idempotent: the canonical form of a canonical form is
// itself. The form is part of request ids, so any change to it is a change of
// [Version].
//
// # Request ids
//
// See [ID] for the encoding that is hashed.
package canon

// Version is the version of the canonical form and of the encoding that [ID]
// hashes. Workspaces note it: ids of different versions don't compare.
const Version = 1

// MaxBytes is the longest reference and the longest canonical URL, in bytes.
const MaxBytes = 8 << 10
