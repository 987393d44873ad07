// Package harrow harvests structured data from web sources as Apache Beam
// pipelines: discover, fetch politely, keep the raw answers, parse, refine,
// load.
//
// This package is the vocabulary: the plain Go types that flow between the
// stages, the types of the job file, and the interfaces a plug-in implements
// ([Extractor], [Operator], [Sink]) with their Register functions. It knows
// neither Beam nor the file formats. A binary with plug-ins of its own is two
// lines: import them, call command.Main.
package harrow

// Version is the release of Harrow; it is part of the default User-Agent.
const Version = "0.1.0"

// ProjectURL is where a site's operator reads who is asking.
const ProjectURL = "https://github.com/harrowdata/harrow"
