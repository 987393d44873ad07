package look

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
)

// maxReport bounds a report, packed and unpacked.
const maxReport = 64 << 10

// Text packs a report into letters, digits, '-' and '_': a metric's name
// carries it through any runner.
func (r Report) Text() (string, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(packed.Bytes()), nil
}

// Read unpacks what [Report.Text] has packed.
func Read(text string) (r Report, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("a worker's report can't be read: %w", err)
		}
	}()
	if len(text) > maxReport {
		return r, fmt.Errorf("%d bytes; expected at most %d", len(text), maxReport)
	}
	packed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return r, err
	}
	data, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), maxReport))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}
