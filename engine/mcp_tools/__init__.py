"""Saved workflows as tools of the Model Context Protocol: `safelight mcp`.

`saved` makes a tool of each workflow, `local` runs them in this process and `remote` on a server, `content` turns what came out
into what a language model reads, `protocol` answers the client, and `transports` carries it. Only `content`, `protocol`,
`transports` and `input` import the package `mcp`, which is an extra, or what comes with it.
"""
