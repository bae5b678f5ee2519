package cli

import (
	"runtime"
	"runtime/debug"
)

// version is set by the linker, to what "git describe" says.
var version string

// Version is the version of this binary: what the linker was told, or else what
// the build itself knew.
func Version() string { return build().Version }

// buildInfo is what the binary knows of itself.
type buildInfo struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Time     string `json:"time,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func build() buildInfo {
	b := buildInfo{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version = version; version == "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Revision = setting.Value
		case "vcs.time":
			b.Time = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

// versionCommand is "saldo version".
type versionCommand struct {
	Format `embed:""`
}

// Help shows examples.
func (*versionCommand) Help() string {
	return `Examples:
  saldo version
  saldo version --output json`
}

// Run shows the version.
func (c *versionCommand) Run(streams Streams) error {
	p, b := newPrinter(streams, c.Output), build()
	p.show(b, func() {
		revision := b.Revision
		if b.Modified {
			revision += " with changes"
		}
		p.fields("version", b.Version, "revision", revision, "time", b.Time, "go", b.Go, "platform", b.Platform)
	})
	return p.flush()
}
