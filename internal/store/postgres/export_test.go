package postgres

// IsExposed is exposed, for tests.
var IsExposed = exposed
