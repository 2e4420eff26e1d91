// Command k6 is the load generator k6 with one more output, "progress".
package main

import (
	"go.k6.io/k6/cmd"
	"go.k6.io/k6/output"
)

func main() {
	output.RegisterExtension("progress", newProgress)
	cmd.Execute()
}
