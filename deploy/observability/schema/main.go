// Holds dashboards against Grafana's own schema, as its SDK has it: no field that Grafana doesn't know, none of a wrong type, none
// that is missing.
package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	plugins.RegisterDefaultPlugins()
	failed := false
	for _, file := range os.Args[1:] {
		if err := check(file); err != nil {
			fmt.Printf("%s: %v\n", file, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
	fmt.Printf("%d dashboards are as Grafana's schema wants them\n", len(os.Args)-1)
}

func check(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var read dashboard.Dashboard
	for _, err := range []error{read.UnmarshalJSONStrict(text), read.Validate()} {
		// A list of faults is never nil, but may be empty.
		if err != nil && err.Error() != "" {
			return err
		}
	}
	return nil
}
