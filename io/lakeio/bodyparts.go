package lakeio

import (
	"context"
	"fmt"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
)

// BodyParts calls do with the URI of each part of bodies that rows of a part
// of captures or pages point to, of some more than once. The text is valid
// until do returns.
func BodyParts(ctx context.Context, s Store, part harrow.Part, do func(uri string)) error {
	for b, err := range ReadBatches(ctx, s, part) {
		if err != nil {
			return err
		}
		uris, ok := b.Column("body_part").(*array.String)
		if !ok {
			return fmt.Errorf("%s: %w: it has no column body_part of text", part.URI, ErrCorrupt)
		}
		last := ""
		for i := range uris.Len() {
			if uri := uris.Value(i); !uris.IsNull(i) && uri != last {
				do(uri)
				last = uri
			}
		}
	}
	return nil
}
