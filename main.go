// Command troupe runs the services and the tools around them.
package main

import (
	"github.com/troupedev/troupe/platform/cli"
	"github.com/troupedev/troupe/services"
)

func main() { cli.Main(services.All(), cli.Demo(services.Demo)) }
