// Command harrow harvests structured data from web sources. See `harrow
// --help`. A binary with plug-ins of its own imports them beside command.
package main

import "github.com/harrowdata/harrow/command"

func main() { command.Main() }
