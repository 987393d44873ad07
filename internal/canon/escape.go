package canon

import "bytes"

// byteSet says which bytes stay as they are in a component.
type byteSet [256]bool

const unreserved = "-._~"

var (
	unreservedByte = newByteSet(unreserved)
	pathByte       = newByteSet(unreserved + "!$&'()*+,;=:@/[]")
	queryByte      = newByteSet(unreserved + "!$&()*+,;=:@/[]?")
)

// newByteSet returns letters, digits and the given bytes.
func newByteSet(extra string) (set byteSet) {
	for c := range 128 {
		set[c] = isAlpha(byte(c)) || isDigit(byte(c))
	}
	for i := range len(extra) {
		set[extra[i]] = true
	}
	return set
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// hexValue returns the value of a hexadecimal digit, or -1.
func hexValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

const upperHex = "0123456789ABCDEF"

// appendEscaped appends s with its percent-encoding in canonical form.
func appendEscaped(dst []byte, s string, set *byteSet) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if set[c] {
			dst = append(dst, c)
			continue
		}
		if c == '%' && i+2 < len(s) {
			if hi, lo := hexValue(s[i+1]), hexValue(s[i+2]); hi >= 0 && lo >= 0 {
				c = byte(hi<<4 | lo)
				i += 2
				if unreservedByte[c] {
					dst = append(dst, c)
					continue
				}
			}
		}
		dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
	}
	return dst
}

// appendPath appends the segments of s to the path that begins at dst[start]
// and ends in a slash, and resolves dot segments. Escapes are decoded before a
// segment is looked at, so %2e counts as a dot.
func appendPath(dst []byte, start int, s string) []byte {
	for {
		segment := len(dst)
		end := 0
		for end < len(s) && s[end] != '/' {
			end++
		}
		dst = appendEscaped(dst, s[:end], &pathByte)
		last := end == len(s)
		switch {
		case isDots(dst[segment:], 2):
			dst = dst[:segment]
			if segment-1 > start {
				dst = dst[:start+1+bytes.LastIndexByte(dst[start:segment-1], '/')]
			}
		case isDots(dst[segment:], 1):
			dst = dst[:segment]
		case !last:
			dst = append(dst, '/')
		}
		if last {
			return dst
		}
		s = s[end+1:]
	}
}

// isDots reports whether the segment is n dots.
func isDots(segment []byte, n int) bool {
	return len(segment) == n && segment[0] == '.' && segment[n-1] == '.'
}
