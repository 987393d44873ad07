package jobfile

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// proxySchemes are how a proxy is spoken to.
var proxySchemes = []string{"http", "https", "socks5"}

// checkProxies looks at the URLs of proxies. What is wrong with one is said
// without it: it may hold a password.
func (c *checker) checkProxies(all []string) {
	for i, raw := range all {
		path := fmt.Sprintf("fetch.proxies[%d]", i)
		if msg := proxyFault(raw); msg != "" && !c.errs.under(path) {
			c.report(path, "%s: %s", path, msg)
		}
	}
}

// proxyFault says what is wrong with a proxy's URL, or "". Secrets in it are
// not known here: they count as whatever may stand in their place.
func proxyFault(raw string) string {
	const want = "expected http, https or socks5://[user:password@]host:port"
	parts, err := segments(raw)
	if err != nil {
		return "" // was reported
	}
	var plain strings.Builder
	for _, p := range parts {
		plain.WriteString(p.literal)
		if p.ref != "" && plain.Len() == 0 {
			return "" // anything may come of it: whoever fills it in will see
		}
		if p.ref != "" {
			plain.WriteString("1") // as good as a name as as a port
		}
	}
	u, err := url.Parse(plain.String())
	switch {
	case err != nil:
		return "this is no URL; " + want
	case !slices.Contains(proxySchemes, u.Scheme):
		return fmt.Sprintf("scheme %.20q; %s", u.Scheme, want)
	case u.Hostname() == "":
		return "it has no host; " + want
	case u.Path != "" && u.Path != "/", u.RawQuery != "", u.Fragment != "":
		return "it goes on after the port; " + want
	}
	if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
		return fmt.Sprintf("port %.20q; %s", u.Port(), want)
	}
	if password, ok := u.User.Password(); ok && password != "" && !secretIn(parts, "@") {
		return "the password stands in the file; expected ${NAME} or ${file:/path} in its place"
	}
	return ""
}

// secretIn reports whether a reference stands before the last of a mark.
func secretIn(parts []segment, mark string) bool {
	seen := false
	for _, p := range slices.Backward(parts) {
		seen = seen || strings.Contains(p.literal, mark)
		if p.ref != "" && seen {
			return true
		}
	}
	return false
}

// Proxies fills in the secrets of fetch.proxies, on the worker.
func Proxies(templates []string, env Env) (urls []string, err error) {
	for i, t := range templates {
		u, err := Resolve(t, env)
		if err != nil {
			return nil, fmt.Errorf("fetch.proxies[%d]: %w", i, err)
		}
		urls = append(urls, u)
	}
	return urls, nil
}
