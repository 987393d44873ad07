package pipelines

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"

	_ "github.com/harrowdata/harrow/io/pgio"
)

// What a pipeline carries reaches the runner, its logs and its web pages: the
// secrets of a job stay references there, and each worker fills its own in.
func TestAPipelineCarriesNoSecret(t *testing.T) {
	secrets := map[string]string{ // by what refers to it
		"HEADER_KEY": "s3cret-of-header", "HOST_KEY": "s3cret-of-host", "LOGIN_PASS": "s3cret-of-login", "SHOP_USER": "s3cret-user", "SHOP_PASS": "s3cret-of-basic",
		"PROXY_PASS": "s3cret-of-proxy", "PG_PASS": "s3cret-of-postgres", "FOLDER": "/s3cret-folder",
	}
	for name, value := range secrets {
		t.Setenv(name, value)
	}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("s3cret-of-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secrets["file:"+file] = "s3cret-of-file"
	sent := fmt.Sprintf(`fetch:
  headers: {X-Key: "${HEADER_KEY}"}
  host_headers: {"https://*.example": {X-Host: "${HOST_KEY}", X-File: "${file:%s}"}}
  login: {url: "https://shop.example/login", fields: {user: ann, pass: "${LOGIN_PASS}"}}
  auth: {basic: "${SHOP_USER}:${SHOP_PASS}"}
  proxies: ["http://ann:${PROXY_PASS}@proxy.example:3128"]
`, file)
	text := strings.Replace(fmt.Sprintf(smallJob, `{urls: ["https://shop.example/"]}`, "/**"), "fetch:\n", sent, 1)
	b := newBench(t, smallSite(), text+"load:\n  postgres: {url: \"postgres://harrow:${PG_PASS}@db.example/harrow\"}\n  parquet: {path: \"${FOLDER}/out\"}\n")
	sent = string(carried(t, b))
	for ref, value := range secrets {
		if strings.Contains(sent, value) {
			t.Errorf("${%s} is filled in", ref)
		}
		if !strings.Contains(sent, "${"+ref+"}") {
			t.Errorf("${%s} is not in the pipeline: nothing is shown by what isn't there", ref)
		}
	}
	if basic := base64.StdEncoding.EncodeToString([]byte(secrets["SHOP_USER"] + ":" + secrets["SHOP_PASS"])); strings.Contains(sent, basic) {
		t.Error("the credentials are filled in, as a header has them")
	}
}

// carried is all that a job's pipeline carries to the runner: its bytes, and
// whatever is encoded in them.
func carried(t *testing.T, b *bench) []byte {
	t.Helper()
	pipeline, root := beam.NewPipelineWithRoot()
	Harvest(root, b.plan())
	edges, _, err := pipeline.Build()
	if err != nil {
		t.Fatal(err)
	}
	model, err := graphx.Marshal(edges, &graphx.Options{Environment: &pipepb.Environment{Urn: "beam:env:external:v1"}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(model)
	if err != nil {
		t.Fatal(err)
	}
	return unfold(data, 4)
}

var encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{16,}`)

// unfold appends to data what is encoded in it as base64, and in that, depth
// times over.
func unfold(data []byte, depth int) []byte {
	if depth == 0 {
		return data
	}
	all := bytes.Clone(data)
	for _, run := range encoded.FindAll(data, -1) {
		for from := range 4 { // a byte before it may look like a part of it
			text := run[from:]
			text = text[:len(text)/4*4+[]int{0, 0, 2, 3}[len(text)%4]]
			for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				if inner, err := e.DecodeString(string(text)); err == nil && bytes.Count(inner, []byte{'"'}) > 1 {
					all = append(append(all, ' '), unfold(inner, depth-1)...)
				}
			}
		}
	}
	return all
}
