package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/goccy/go-yaml"
)

// loadYAML reads a configuration file. Its members are the names of flags, so
// that file, environment and command line say the same things:
//
//	db: /var/lib/saldo/ledger.db
//	listen: 127.0.0.1:8080
//	rate-limit: 200
//	trusted-proxy: [10.0.0.0/8]
func loadYAML(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if err := yaml.NewDecoder(r).Decode(&values); err != nil && err != io.EOF { //nolint:errorlint // The decoder returns io.EOF itself for an empty file.
		return nil, fmt.Errorf("read the configuration file: %w", err)
	}
	return &yamlResolver{values}, nil
}

type yamlResolver struct{ values map[string]any }

// Validate refuses members that are no flag of saldo serve, with a list of those
// that are: a misspelt limit must not silently be the default.
func (y *yamlResolver) Validate(app *kong.Application) error {
	var known []string
	for _, command := range app.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			if flag.Name != "config" && flag.Name != "help" {
				known = append(known, flag.Name)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(y.values)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("configuration file: there is no setting %q (the settings are %s)", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// Resolve gives the value of a flag that neither command line nor environment set.
func (y *yamlResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return nil, nil //nolint:nilnil // kong itself would let a resolver overrule the environment.
		}
	}
	switch value := y.values[flag.Name].(type) {
	case nil:
		return nil, nil //nolint:nilnil // This is how a kong.Resolver says that it does not know.
	case []any:
		texts := make([]string, len(value))
		for i, item := range value {
			texts[i] = fmt.Sprint(item)
		}
		return strings.Join(texts, ","), nil
	default:
		return fmt.Sprint(value), nil
	}
}
