package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (p *program) topologyCommand() *cobra.Command {
	var format string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "topology",
		Short: "Print who hears and emits what",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := p.topology.Validate(); err != nil {
				return err
			}
			if asJSON {
				format = "json"
			}
			view := p.topology.View()
			switch format {
			case "text":
				return view.Text(p.out)
			case "mermaid":
				return view.Mermaid(p.out)
			case "dot":
				return view.DOT(p.out)
			case "json":
				return printJSON(p.out, view)
			}
			return fmt.Errorf("--format: %q is neither text, mermaid, dot nor json", format)
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, mermaid, dot (Graphviz) or json")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as --format json")
	cmd.MarkFlagsMutuallyExclusive("format", "json")
	return cmd
}

// printJSON prints a list or record for a person and a program to read.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
