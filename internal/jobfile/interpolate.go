package jobfile

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// secretPlaces are the paths below which ${NAME} and ${file:/path} may stand.
var secretPlaces = []string{"fetch.headers", "fetch.host_headers", "fetch.login", "fetch.auth", "fetch.proxies", "load"}

var (
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	paramName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
)

// secret is a ${NAME} or ${file:/path} and where it stands.
type secret struct {
	ref  string // NAME or file:/path
	path string
	pos  Pos
}

// segment is a piece of a text: literal characters or one reference.
type segment struct {
	literal string
	ref     string // what stands between ${ and }; empty for a literal
}

const expectedRef = "expected ${NAME}, ${file:/path} or ${param.NAME}; $${ stands for ${ itself"

// segments cuts a text at its references; $${ becomes a literal ${.
func segments(s string) ([]segment, error) {
	var out []segment
	var literal strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		if i > 0 && s[i-1] == '$' {
			literal.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		literal.WriteString(s[:i])
		ref, rest, closed := strings.Cut(s[i+2:], "}")
		if !closed {
			return nil, fmt.Errorf("${ without }; %s", expectedRef)
		}
		if err := checkRef(ref); err != nil {
			return nil, err
		}
		out = append(out, segment{literal: literal.String()}, segment{ref: ref})
		literal.Reset()
		s = rest
	}
	return append(out, segment{literal: literal.String() + s}), nil
}

func checkRef(ref string) error {
	if path, ok := strings.CutPrefix(ref, "file:"); ok {
		if !strings.HasPrefix(path, "/") {
			return fmt.Errorf("${%.80s}; expected an absolute path: ${file:/path}", ref)
		}
		return nil
	}
	if param, ok := strings.CutPrefix(ref, "param."); ok && paramName.MatchString(param) {
		return nil
	}
	if !envName.MatchString(ref) {
		return fmt.Errorf("${%.80s}; %s", ref, expectedRef)
	}
	return nil
}

// filler fills ${param.…} in and finds the secrets.
type filler struct {
	file    string
	params  map[string]string
	used    map[string]bool
	secrets []secret
	errs    Errors
}

// fill works on a value and all below it.
func (f *filler) fill(n *node, path string, secrets bool) {
	secrets = secrets || slices.Contains(secretPlaces, path)
	for _, e := range n.entries {
		f.fill(e.value, join(path, e.key), secrets)
	}
	for i, item := range n.items {
		f.fill(item, fmt.Sprintf("%s[%d]", path, i), secrets)
	}
	if n.kind == text && strings.Contains(n.text, "${") {
		f.fillText(n, path, secrets)
	}
}

// fillText fills one text in. Where secrets may stand it stays a template, so
// what is filled in is escaped there.
func (f *filler) fillText(n *node, path string, secrets bool) {
	parts, err := segments(n.text)
	if err != nil {
		f.fail(n.pos, path, "%s: %v", path, err)
		return
	}
	var out, literal strings.Builder
	flush := func() {
		s := literal.String()
		if secrets {
			s = strings.ReplaceAll(s, "${", "$${")
		}
		out.WriteString(s)
		literal.Reset()
	}
	for _, p := range parts {
		literal.WriteString(p.literal)
		if p.ref == "" {
			continue
		}
		if param, ok := strings.CutPrefix(p.ref, "param."); ok {
			literal.WriteString(f.param(param, n, path))
			continue
		}
		switch {
		case !secrets:
			f.fail(n.pos, path, "%s: the secret ${%s} may not stand here; expected it in %s", path, p.ref, oneOf(secretPlaces))
		case strings.HasSuffix(literal.String(), "$"): // would read as an escape
			f.fail(n.pos, path, "%s: a $ before ${%s}; expected another character", path, p.ref)
		}
		flush()
		f.secrets = append(f.secrets, secret{p.ref, path, n.pos})
		out.WriteString("${" + p.ref + "}")
	}
	flush()
	n.text = out.String()
	if n.filled && n.plain {
		n.typed(n.text)
	}
}

// param returns a parameter's value for a place in the file.
func (f *filler) param(name string, n *node, path string) string {
	value, ok := f.params[name]
	if !ok {
		f.fail(n.pos, path, "%s: ${param.%s} has no value; expected --param %s=VALUE", path, name, name)
	}
	f.used[name] = true
	n.filled = true
	return value
}

func (f *filler) fail(pos Pos, path, format string, args ...any) {
	f.errs = append(f.errs, &Error{File: f.file, Line: pos.Line, Col: pos.Col, Path: path, Msg: fmt.Sprintf(format, args...)})
}

// unused reports the parameters that the file doesn't mention.
func (f *filler) unused() {
	for _, name := range slices.Sorted(maps.Keys(f.params)) {
		if !f.used[name] {
			f.fail(Pos{}, "", "--param %s is not used; expected ${param.%s} in the file", name, name)
		}
	}
}
