package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/serverlog"
)

// siteConfig is what the process that serves gets.
type siteConfig struct {
	Scenario scenario
}

// control is the host under which the site answers for its log.
const control = "log.control"

// serve serves a scenario's hosts until standard input ends.
func serve(ctx context.Context, c siteConfig) (any, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	recorder := serverlog.RecordWith(newSite(c.Scenario), serverlog.Options{Lean: c.Scenario.Lean})
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == control {
			answer(w, r, c.Scenario, &recorder.Log)
			return
		}
		recorder.ServeHTTP(w, r)
	})}
	return struct{}{}, measure.Serve(server, l)
}

// answer judges the log, beside the exchanges that the client has sent along.
func answer(w http.ResponseWriter, r *http.Request, s scenario, log *serverlog.Log) {
	var sent []harrow.Exchange
	if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	j := newJudgement(s, log.Requests())
	if s.Lean {
		j.count(s, log.All())
	}
	j.polite(s, log, sent)
	_ = json.NewEncoder(w).Encode(j) // an error: the client has gone
}

// site answers for all hosts of a scenario.
type site struct {
	scenario
	first []int // number of each host's first page
	pages http.Handler
}

func newSite(s scenario) *site {
	t := &site{scenario: s, pages: demosite.Bench(s.pages(), s.Size)}
	first := 0
	for _, pages := range s.Hosts {
		t.first = append(t.first, first)
		first += pages
	}
	return t
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Latency > 0 {
		time.Sleep(s.Latency)
	}
	h, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSuffix(r.Host, ".example"), "h"))
	if err != nil || h < 0 || h >= len(s.Hosts) {
		http.Error(w, "no such host", http.StatusMisdirectedRequest)
		return
	}
	switch r.URL.Path {
	case "/robots.txt":
		s.robots(w, r)
	case "/":
		s.front(w, h)
	default:
		n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSuffix(r.URL.Path, ".html"), "/p/"))
		if err != nil || n < s.first[h] || n >= s.first[h]+s.Hosts[h] {
			http.NotFound(w, r)
			return
		}
		if s.Size <= 1 {
			_, _ = io.WriteString(w, "<h1>"+r.Host+r.URL.Path+"</h1>") // an error: the client has gone
			return
		}
		s.pages.ServeHTTP(w, r)
	}
}

func (s *site) robots(w http.ResponseWriter, r *http.Request) {
	if s.CrawlDelay == 0 {
		http.NotFound(w, r)
		return
	}
	_, _ = fmt.Fprintf(w, "User-agent: *\nCrawl-delay: %g\nDisallow: /private/\n", s.CrawlDelay.Seconds())
}

// front is a host's front page: it links to the pages that are no seeds.
func (s *site) front(w http.ResponseWriter, h int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	var b strings.Builder
	b.WriteString("<!DOCTYPE html><title>Front page</title><h1>Front page</h1><ul class=\"more\">\n")
	for i := range s.Hosts[h] {
		if isLinked(i) {
			fmt.Fprintf(&b, "<li><a href=\"%s\">more</a></li>\n", path(s.first[h]+i))
		}
	}
	b.WriteString("</ul>\n")
	_, _ = io.WriteString(w, b.String()) // an error: the client has gone
}
