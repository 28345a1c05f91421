package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/runtime"
)

func (p *program) servicesCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "services",
		Short: "List the services that have announced themselves, of all processes",
		Long: "Lists every service that has run on the brokers, and has not been forgotten: each announces its declaration when it starts.\n" +
			"Whoever gathers answers waits for all of them, so one that will not run again is to be forgotten.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.onBrokers(cmd, func(ctx context.Context, client *kafka.Client, prefix string) error {
				announced, err := runtime.Announced(ctx, client, prefix)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(p.out, append([]runtime.Announcement{}, announced...)) // a list, also of none
				}
				return printServices(p.out, announced)
			})
		},
	}
	addFlags(cmd, flagBrokers, flagData, flagTopicPrefix)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.AddCommand(p.forgetCommand())
	return cmd
}

func (p *program) forgetCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "forget NAME",
		Short: "Take a service that will not run again off the list",
		Long: "Takes a service off the list: requests from now on do not wait for its answers. One that runs is refused, but by --force; it is\n" +
			"announced again when it next starts.\n\n" +
			"Requests that were emitted before still wait for it. To end such a wait, answer in its place:\n\n" +
			"  troupe send users.AccountDataErased --cause REQUEST-ID --source /services/NAME --json '{\"userId\":\"…\",\"service\":\"NAME\",\"records\":0}'\n\n" +
			"REQUEST-ID is the ce_id of the request; `troupe tail users --from start --json` shows it.",
		Args: argument("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.onBrokers(cmd, func(ctx context.Context, client *kafka.Client, prefix string) error {
				runs, err := runtime.Runs(ctx, client, prefix, args[0])
				if err != nil {
					return err
				}
				if runs && !force {
					return fmt.Errorf("%s runs, or ended less than a session ago: stop it first, or --force", args[0])
				}
				return runtime.Forget(ctx, client, prefix, args[0])
			})
		},
	}
	addFlags(cmd, flagBrokers, flagData, flagTopicPrefix)
	cmd.Flags().BoolVar(&force, "force", false, "also one that runs")
	return cmd
}

// onBrokers calls f with a connection to the brokers that the settings, or a
// running troupe, name.
func (p *program) onBrokers(cmd *cobra.Command, f func(ctx context.Context, client *kafka.Client, prefix string) error) (err error) {
	c, _, err := p.configure(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), sendTimeout)
	defer cancel()
	client, prefix, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return f(ctx, client, prefix)
}

func printServices(w io.Writer, announced []runtime.Announcement) error {
	tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tab, "SERVICE\tSTATE\tANNOUNCED\tWHAT\tHEARS")
	for _, a := range announced {
		var hears []string
		for _, r := range a.Reactions {
			hears = append(hears, r.Hears)
		}
		state := "-"
		if a.Store {
			state = "database"
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", plain(a.Name), state,
			a.Announced.Local().Format(time.DateTime), escaped(a.Doc), escaped(strings.Join(hears, ", ")))
	}
	return tab.Flush()
}
