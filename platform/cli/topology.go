package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/choreo"
)

func (p *program) topologyCommand() *cobra.Command {
	var format, output string
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
			var text bytes.Buffer
			if err := render(&text, p.topology.View(), format); err != nil {
				return err
			}
			if output != "" {
				return os.WriteFile(output, text.Bytes(), 0o644)
			}
			_, err := p.out.Write(text.Bytes())
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, mermaid, dot (Graphviz) or json")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, as --format json")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to this file instead of printing")
	cmd.MarkFlagsMutuallyExclusive("format", "json")
	return cmd
}

func render(w io.Writer, view choreo.View, format string) error {
	switch format {
	case "text":
		return view.Text(w)
	case "mermaid":
		return view.Mermaid(w)
	case "dot":
		return view.DOT(w)
	case "json":
		return printJSON(w, view)
	}
	return fmt.Errorf("--format: %q is neither text, mermaid, dot nor json", format)
}

// printJSON prints a list or record for a person and a program to read.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
