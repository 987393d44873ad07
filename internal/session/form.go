package session

import (
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"net/url"
	"strings"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/css"
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
	"github.com/harrowdata/harrow/internal/html5"
)

// document is a page with forms.
type document struct {
	*dom.Tree
	name string            // of the encoding that what is filled in is sent in
	enc  encoding.Encoding // nil: UTF-8
}

// maxNodes is the most nodes and attributes that a page with a form may have.
const maxNodes = 1_000_000

func readDocument(a Answer) (document, error) {
	e, name, _ := charset.DetermineEncoding(a.Body, a.ContentType)
	text, err := e.NewDecoder().Bytes(a.Body)
	if err != nil {
		text = bytes.ToValidUTF8(a.Body, []byte("\uFFFD"))
	}
	text = bytes.TrimPrefix(bytes.ToValidUTF8(text, []byte("\uFFFD")), []byte("\uFEFF"))
	parser := html5.Parser{MaxNodes: maxNodes}
	d := document{Tree: &dom.Tree{}, name: "UTF-8"}
	if err := parser.Parse(d.Tree, text); err != nil {
		return document{}, fmt.Errorf("the page can't be read: %w", err)
	}
	if name != "utf-8" && !strings.HasPrefix(name, "utf-16") {
		d.name, d.enc = name, e
	}
	return d, nil
}

// encode writes a text as the page's forms do: what its encoding has no
// character for becomes a reference (HTML, 4.10.22.5).
func (d document) encode(text string) string {
	text = strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(text)
	if d.enc == nil {
		return text
	}
	out, err := encoding.HTMLEscapeUnsupported(d.enc.NewEncoder()).String(text)
	if err != nil {
		return text
	}
	return out
}

// fill sends the form of a page with the job's fields filled in.
func (l *Login) fill(page canon.URL, a Answer) (Step, error) {
	d, err := readDocument(a)
	if err != nil {
		return Step{}, err
	}
	form, err := l.find(d)
	if err != nil {
		return Step{}, err
	}
	f := d.controls(form)
	if err := f.has(l.fields); err != nil {
		return Step{}, err
	}
	method, action, enctype := f.attribute(form, name.Method, name.Formmethod), f.attribute(form, name.Action, name.Formaction), f.attribute(form, name.Enctype, name.Formenctype)
	if !strings.EqualFold(method, "POST") {
		return Step{}, fmt.Errorf("the form's method is %q, which would put what is filled in into a URL; expected post", method)
	}
	target, err := l.action(d, page, action)
	if err != nil {
		return Step{}, err
	}
	body, kind, err := d.body(f.entries(l.fields), enctype)
	if err != nil {
		return Step{}, err
	}
	origin, referer := page.Scheme()+"://"+page.Authority(), page.String()
	if origin != target.Scheme()+"://"+target.Authority() {
		referer = origin + "/"
	}
	return Step{Method: "POST", URL: target, Body: body, sent: true, Headers: []harrow.Header{
		{Name: "Content-Type", Value: kind}, {Name: "Origin", Value: origin}, {Name: "Referer", Value: referer}}}, nil
}

// find is the form of the login.
func (l *Login) find(d document) (form dom.ID, err error) {
	form = dom.None
	if l.selector == nil {
		d.each(func(n, owner dom.ID, _ bool) {
			if kind, _ := d.Attr(n, name.Type); form == dom.None && d.is(n, name.Input) && strings.EqualFold(kind, "password") {
				form = owner
			}
		})
		if form == dom.None {
			err = errors.New("the page has no form with a password field; expected one, or fetch.login.form to say which")
		}
		return form, err
	}
	if form, err = d.first(l.selector); err != nil {
		return form, err
	}
	switch {
	case form == dom.None:
	case !d.is(form, name.Form):
		return form, fmt.Errorf("fetch.login.form, %q, selects <%s>; expected a form", l.form, d.NameOf(d.Nodes[form].Name))
	default:
		return form, nil
	}
	return form, fmt.Errorf("the page has no form that fetch.login.form, %q, selects", l.form)
}

// first is the first element that a selector selects, None for none.
func (d document) first(s *css.Selector) (dom.ID, error) {
	set := css.NewSet()
	i := set.Add(s)
	m := css.NewMatcher(set)
	if err := m.Run(d.Tree, []css.Want{css.First}); err != nil {
		return dom.None, fmt.Errorf("the page costs too much: %w", err)
	}
	if found := m.All(i); len(found) > 0 {
		return found[0], nil
	}
	return dom.None, nil
}

// is reports whether a node is that element of HTML.
func (d document) is(n dom.ID, of dom.Name) bool {
	node := &d.Nodes[n]
	return node.Kind == dom.Element && node.Space == dom.HTML && node.Name == of
}

// again reports whether an answer holds the form, with the fields that were
// filled in.
func (l *Login) again(a Answer) bool {
	d, err := readDocument(a)
	if err != nil {
		return false
	}
	form, err := l.find(d)
	return err == nil && d.controls(form).has(l.fields) == nil
}

// action is where the form goes: within the registered domain, and not out of
// TLS.
func (l *Login) action(d document, page canon.URL, action string) (canon.URL, error) {
	base := page
	for i := range d.Nodes {
		if n := dom.ID(i); d.is(n, name.Base) {
			if href, ok := d.Attr(n, name.Href); ok {
				if u, err := plainURLs.Resolve(page, href); err == nil {
					base = u
				}
				break
			}
		}
	}
	target := page // an empty action is the page itself, whatever the base
	if strings.TrimSpace(action) != "" {
		var err error
		if target, err = plainURLs.Resolve(base, action); err != nil {
			return target, errors.New("the form's action is no URL")
		}
	}
	if canon.Domain(target.Host()) != l.Domain() {
		return target, fmt.Errorf("the form goes to %s, which is out of the registered domain %s", target.Host(), l.Domain())
	}
	if !l.safe(target) {
		return target, errors.New("the form goes to http, while fetch.login.url is https")
	}
	return target, nil
}

// body writes the entries as enctype says.
func (d document) body(entries [][2]string, enctype string) (body []byte, kind string, err error) {
	switch strings.ToLower(strings.TrimSpace(enctype)) {
	case "multipart/form-data":
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, e := range entries {
			if err := w.WriteField(d.encode(e[0]), d.encode(e[1])); err != nil {
				return nil, "", fmt.Errorf("the form: %w", err)
			}
		}
		if err := w.Close(); err != nil {
			return nil, "", fmt.Errorf("the form: %w", err)
		}
		return b.Bytes(), w.FormDataContentType(), nil
	case "text/plain":
		return nil, "", errors.New("the form's enctype is text/plain; expected application/x-www-form-urlencoded or multipart/form-data")
	}
	var pairs []string
	for _, e := range entries {
		pairs = append(pairs, url.QueryEscape(d.encode(e[0]))+"="+url.QueryEscape(d.encode(e[1])))
	}
	return []byte(strings.Join(pairs, "&")), "application/x-www-form-urlencoded", nil
}
