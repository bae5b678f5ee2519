// Package api is the REST contract of Saldo: the OpenAPI document, the Go types
// generated from it, and the interface that a server of it implements.
package api

import _ "embed"

//go:generate go tool -modfile=../tools/go.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml

// Document is the OpenAPI 3.1 document, in YAML. It must not be changed.
//
//go:embed openapi.yaml
var Document []byte
