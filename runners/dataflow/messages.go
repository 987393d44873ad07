package dataflow

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	api "google.golang.org/api/dataflow/v1b3"
)

// watch is what was said about a job so far.
type watch struct {
	told   map[string]bool // ids of messages
	since  string          // time of the last one
	errors []string        // their texts, in order
}

// maxTold bounds what a line of the log has of a message.
const maxTold = 300

// tell writes what is new to the log: warnings and errors. That it can't be
// read is not the job's trouble.
func (c *Client) tell(ctx context.Context, id string, w *watch) {
	if w.told == nil {
		w.told = map[string]bool{}
	}
	list := c.jobs.Messages.List(c.project, c.region, id).MinimumImportance("JOB_MESSAGE_WARNING")
	if w.since != "" {
		list = list.StartTime(w.since)
	}
	err := list.Pages(ctx, func(page *api.ListJobMessagesResponse) error {
		for _, m := range page.JobMessages {
			key := m.Id + " " + m.Time + " " + m.MessageText
			if w.told[key] {
				continue
			}
			w.told[key], w.since = true, max(w.since, m.Time)
			if m.MessageImportance == "JOB_MESSAGE_ERROR" {
				w.errors = append(w.errors, m.MessageText)
			}
			fmt.Fprintf(c.log, "dataflow: %s\n", cut(printable(cause(m.MessageText)), maxTold))
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(c.log, "dataflow: the job's messages can't be read now: %s\n", cut(printable(err.Error()), maxTold))
	}
}

// failure is why a job is over that is not done.
func (w *watch) failure(id, state string) error {
	if state != stateFailed {
		return fmt.Errorf("job %s ended on Dataflow as %s, which Harrow did not ask for", id, short(state))
	}
	for i := len(w.errors) - 1; i >= 0; i-- { // the last worker's word says most
		if strings.Contains(w.errors[i], causedBy) || strings.Contains(w.errors[i], fromWorker) {
			return fmt.Errorf("job %s failed on Dataflow: %s", id, cause(w.errors[i]))
		}
	}
	if len(w.errors) > 0 {
		return fmt.Errorf("job %s failed on Dataflow: %s", id, cause(w.errors[0]))
	}
	return fmt.Errorf("job %s failed on Dataflow, which does not say why", id)
}

const (
	// fromWorker is how Dataflow begins what a worker said.
	fromWorker = "Error message from worker:"
	// causedBy is how Beam goes from a plan of the whole pipeline to what went
	// wrong.
	causedBy = "caused by:"
)

// cause is what a message comes to.
func cause(text string) string {
	if _, said, found := strings.Cut(text, fromWorker); found {
		text = said
	}
	if i := strings.LastIndex(text, causedBy); i >= 0 {
		text = text[i+len(causedBy):]
	}
	return strings.TrimSpace(text)
}

// printable makes one line of what a server sent, harmless to a terminal.
func printable(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
