// Package rest holds the generated half of the client: how each operation of
// the contract becomes an HTTP request.
package rest

//go:generate go tool -modfile=../../../tools/go.mod oapi-codegen -config oapi-codegen.yaml ../../../api/openapi.yaml
