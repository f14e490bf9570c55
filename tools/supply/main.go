// Command supply answers for what comes from others: which modules are linked into each service and under which licences
// (docs/licences.md), their bill of materials, and whether a known vulnerability is among them.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
)

type cli struct {
	Licences        licencesCmd        `cmd:"" help:"Write licences.md. Fails when a licence is not on the list of those allowed. Example: supply licences --dir docs"`
	SBOM            sbomCmd            `cmd:"" name:"sbom" help:"Write a bill of materials and the texts of all licences for each service. Example: supply sbom --dir bin/sbom --release 1.2.3"`
	Vulnerabilities vulnerabilitiesCmd `cmd:"" help:"Fail when a service has a known vulnerability. Example: supply vulnerabilities --db https://vuln.go.dev"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	parsed := kong.Parse(&cli{}, kong.Name("supply"), kong.Description("Licences, bills of materials and known vulnerabilities of what the services are linked from. Run it in the repository."))
	parsed.BindTo(ctx, (*context.Context)(nil))
	parsed.FatalIfErrorf(parsed.Run())
}
