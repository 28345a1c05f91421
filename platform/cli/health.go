package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/console"
)

// healthTimeout bounds the question and its answer.
const healthTimeout = 2 * time.Second

func (p *program) healthCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running troupe whether it is ready; exit status 1 if not",
		Long: "Asks " + console.PathReady + " at the address of --console; where that is not set, of the troupe that runs on --data,\n" +
			"else at the default. Made for the health checks of containers.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, environ, err := p.configure(cmd)
			if err != nil {
				return err
			}
			addr := c.Console
			if environ["TROUPE_CONSOLE"] == "" {
				if r, err := findRunning(c.Data); err == nil {
					addr = r.Console
				}
			}
			state, err := askReady(cmd.Context(), reachable(addr))
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(p.out, state)
			} else if state.Ready {
				_, err = fmt.Fprintln(p.out, "ready")
			}
			if err == nil && !state.Ready {
				err = fmt.Errorf("not ready: %s", strings.Join(state.Waiting, "; "))
			}
			return err
		},
	}
	addFlags(cmd, flagConsole, flagData)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func askReady(ctx context.Context, addr string) (state console.Readiness, err error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+console.PathReady, nil)
	if err != nil {
		return state, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return state, fmt.Errorf("no troupe answers at %s: %w", addr, err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&state); err != nil {
		return state, fmt.Errorf("what answers at %s is no troupe (%s)", addr, answer.Status)
	}
	return state, nil
}

// reachable is an address to dial for one to listen on: 0.0.0.0 is everywhere,
// and so here.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
