package pgtest

import "syscall"

// Programs finds the programs of the latest PostgreSQL server that is installed,
// for tests that start servers by other means.
func Programs() (folder string, err error) { return programs() }

// Account is the one that a server is to run under: it refuses to be root. It is
// nil where that of this process will do.
func Account() (*syscall.Credential, error) { return account() }
