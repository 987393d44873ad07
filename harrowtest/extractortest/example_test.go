package extractortest_test

import (
	"encoding/json"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/extractortest"
)

// The test of a plug-in, registered as "facts" by the package under test: it
// is tried on a page as the server sends it.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestFactsIsAnExtractor(t *testing.T) {
		extractortest.Run(t, extractortest.Case{
			Extractor: "facts",
			Config:    json.RawMessage(`{"separator": ":"}`), // what the job file has under `with:`
			Pages: []extractortest.Page{{
				Capture: harrow.Capture{URL: "http://shop.example/item/1", FinalURL: "http://shop.example/item/1", ContentType: "text/plain"},
				Body:    "Colour: green\nWeight: 12 kg\n",
			}},
		})
	}
}
