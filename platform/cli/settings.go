package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/choreo"
)

// shownSetting is one setting as `troupe settings` shows it.
type shownSetting struct {
	Flag string `json:"flag,omitempty"` // of the process's own settings
	choreo.Setting
}

func (p *program) settingsCommand() *cobra.Command {
	var asJSON, asMarkdown bool
	cmd := &cobra.Command{
		Use:   "settings",
		Short: "List what can be set, the services' own settings too",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings := p.settings()
			switch {
			case asJSON:
				return printJSON(p.out, settings)
			case asMarkdown:
				return printMarkdown(p.out, settings)
			}
			return printSettings(p.out, settings)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "print a table in Markdown")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	return cmd
}

// settings are the process's own settings, then those of each service that
// the process does not have itself.
func (p *program) settings() []shownSetting {
	var out []shownSetting
	own := map[string]bool{}
	for _, s := range choreo.Settings(platform(&config{})) {
		own[s.Variable] = true
		out = append(out, shownSetting{"--" + flagOf(s.Variable), s})
	}
	for i := range p.topology {
		for _, s := range choreo.Settings(&p.topology[i]) {
			if !own[s.Variable] {
				out = append(out, shownSetting{"", s})
			}
		}
	}
	return out
}

func printSettings(w io.Writer, settings []shownSetting) error {
	tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tab, "FLAG\tVARIABLE\tDEFAULT\tOF\tWHAT")
	for _, s := range settings {
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\n", cmp.Or(s.Flag, "-"), s.Variable, cmp.Or(s.Default, "-"), s.Service, s.Doc)
	}
	return tab.Flush()
}

func printMarkdown(w io.Writer, settings []shownSetting) error {
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + s + "`"
	}
	fmt.Fprintln(w, "| flag | variable | default | what |\n|---|---|---|---|")
	for _, s := range settings {
		doc := s.Doc
		if s.Flag == "" {
			doc = s.Service + ": " + doc
		}
		_, err := fmt.Fprintf(w, "| %s | %s | %s | %s |\n", code(s.Flag), code(s.Variable), code(s.Default), strings.ReplaceAll(doc, "|", `\|`))
		if err != nil {
			return err
		}
	}
	return nil
}

// strangers are variables of the environment that look like settings and are
// none: a misspelt one would otherwise go unnoticed. Those of tests are left out.
func (p *program) strangers() []string {
	known := map[string]bool{}
	for _, s := range p.settings() {
		known[s.Variable] = true
	}
	var out []string
	for name := range p.environ {
		if strings.HasPrefix(name, variablePrefix) && !strings.HasPrefix(name, variablePrefix+"TEST_") && !known[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
