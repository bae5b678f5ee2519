package cli

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
	kongcompletion "github.com/jotaen/kong-completion"
)

// Complete answers a shell that asks how to complete a command line, and tells
// whether it was asked. It must be called before the parser parses: the process
// has nothing else to do then.
func Complete(parser *kong.Kong) (asked bool) {
	kongcompletion.Register(parser, kongcompletion.WithExitFunc(func(int) { asked = true }))
	return asked
}

// The scripts ask the binary itself, so they never go stale. They find it by
// name: the library's own have the path of the binary that printed them, which
// is that of the build machine in a package.
const (
	bashScript = "complete -o default -C 'NAME' NAME\n"
	zshScript  = "autoload -U +X bashcompinit && bashcompinit\n" + bashScript
	fishScript = `function __NAME_complete
    set -lx COMP_LINE (commandline -cp)
    test -z (commandline -ct); and set COMP_LINE "$COMP_LINE "
    NAME
end
complete -c NAME -f -a "(__NAME_complete)"
`
)

// completionCommand is "saldo completion".
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help shows examples.
func (*completionCommand) Help() string {
	return `Put the line for your shell into its start file. The binary must be in the PATH.

Examples:
  source <(saldo completion bash)
  source <(saldo completion zsh)
  saldo completion fish | source`
}

// Run prints the script.
func (c *completionCommand) Run(streams Streams, parser *kong.Kong) error {
	script := map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}[c.Shell]
	_, err := fmt.Fprint(streams.Out, strings.ReplaceAll(script, "NAME", parser.Model.Name))
	return err
}
