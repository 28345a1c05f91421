package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/troupedev/troupe/platform/console"
	"github.com/troupedev/troupe/platform/web"
)

// banner says what listens where, and what to try.
func (r *run) banner() string {
	var out strings.Builder
	fmt.Fprintf(&out, "troupe runs %s\n\n", strings.Join(r.services.Names(), ", "))
	api, pages := "http://"+reachable(r.about.API), "http://"+reachable(r.about.Console)
	tab := tabwriter.NewWriter(&out, 0, 4, 2, ' ', 0)
	kind := "Kafka"
	if len(r.config.Brokers) == 0 {
		kind = "Kafka, embedded"
	}
	fmt.Fprintf(tab, "  %s\t%s\n", kind, strings.Join(r.about.Brokers, ", "))
	if len(r.databases) > 0 {
		fmt.Fprintf(tab, "  state\t%s\n", r.config.databasePlace())
	}
	if r.hasRoutes() {
		fmt.Fprintf(tab, "  API\t%s\tdocs at %s\n", api, api+web.PathDocs)
	}
	fmt.Fprintf(tab, "  console\t%s\thealth at %s\n", pages, pages+console.PathReady)
	if r.inbox != nil {
		fmt.Fprintf(tab, "  mail\t%s\tread it at %s\n", r.inbox.URL(), pages+console.PathMail)
	}
	_ = tab.Flush() // memory
	if example := r.example(api); example != "" {
		fmt.Fprintf(&out, "\nTry:\n\n%s\n", example)
	}
	return out.String() + "\n"
}

func (r *run) hasRoutes() bool {
	for i := range r.services {
		if len(r.services[i].Routes) > 0 {
			return true
		}
	}
	return false
}

// example is a request to try, taken from the demo, where its route runs here.
func (r *run) example(api string) string {
	if r.demo == nil {
		return ""
	}
	path, body := r.demo(0)()
	for i := range r.services {
		for _, route := range r.services[i].Routes {
			if _, served := route.Pattern(); served == path {
				return fmt.Sprintf("  curl -i %s%s -H 'Content-Type: application/json' -d '%s'", api, path, body)
			}
		}
	}
	return ""
}
