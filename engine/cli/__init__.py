"""The command line. Scripts may rely on the exit codes of `engine.cli.exits` and on `--json`; messages go to stderr."""
