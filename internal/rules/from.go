package rules

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/harrowdata/harrow"
)

// timeForm is RFC 3339 in UTC with microseconds.
const timeForm = "2006-01-02T15:04:05.000000Z07:00"

// fromSource is something known of the capture.
type fromSource struct {
	what   string
	header string // name of the header, for header:NAME
	carry  string // name of the column, for carry:NAME
}

func compileFrom(expr string) (*fromSource, error) {
	if kind, name, ok := strings.Cut(expr, ":"); ok && strings.TrimSpace(name) != "" {
		switch name = strings.TrimSpace(name); kind {
		case "header":
			return &fromSource{what: expr, header: name}, nil
		case "carry":
			return &fromSource{what: expr, carry: name}, nil
		}
	}
	switch expr {
	case "url", "request_url", "host", "path", "status", "fetched_at":
		return &fromSource{what: expr}, nil
	}
	return nil, fmt.Errorf("from %q: want url, request_url, host, path, status, fetched_at, header:NAME or carry:NAME", expr)
}

func (s *fromSource) String() string { return "from: " + s.what }
func (s *fromSource) needs() needs   { return needs{} }

func (s *fromSource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	c := &v.doc.page.Capture
	switch {
	case s.header != "":
		return appendHeaders(dst, c.Headers, s.header, all), nil
	case s.carry != "":
		return appendTexts(dst, v.doc.Carried()[s.carry]), nil
	}
	switch s.what {
	case "url":
		return append(dst, v.doc.final.String()), nil
	case "request_url":
		return append(dst, c.URL), nil
	case "host":
		return append(dst, v.doc.final.Host()), nil
	case "path":
		return append(dst, v.doc.final.Path()), nil
	case "status":
		return append(dst, strconv.Itoa(int(c.Status))), nil
	}
	return append(dst, FetchedAt(*c).Format(timeForm)), nil
}

func appendHeaders(dst []string, headers []harrow.Header, name string, all bool) []string {
	for _, h := range headers {
		if !strings.EqualFold(h.Name, name) {
			continue
		}
		if dst = append(dst, h.Value); !all {
			break
		}
	}
	return dst
}

// Carried is what the capture carries: columns that a seed or a page that
// linked here handed on, and their JSON values.
func (d *Document) Carried() map[string]any {
	carried, _ := d.carried.get(func() (m map[string]any, _ *Fault) {
		dec := json.NewDecoder(strings.NewReader(d.page.Capture.Carry))
		dec.UseNumber()
		if dec.Decode(&m) != nil { // only we write it; empty for nothing
			return nil, nil
		}
		return m, nil
	})
	return carried
}
