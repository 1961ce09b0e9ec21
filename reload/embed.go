package reload

import "embed"

// agentSource is the source of the agent, which travels in this binary and is compiled into every
// program that is built to be reloaded.
//
//go:embed agent/*.go agent/live/*.go agent/internal/rt/*.go agent/internal/rt/*.s patch/*.go
var agentSource embed.FS
