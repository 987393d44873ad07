// Command myharrow is Harrow with extras in it.
package main

import (
	"github.com/harrowdata/harrow/command"

	_ "example.org/extension/extras"
)

func main() { command.Main() }
