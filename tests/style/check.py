"""Rules of the source tree that the compiler does not check. Usage: check.py BUILD_DIRECTORY (of the release preset)

Prints what breaks a rule as path:line, and how many rules hold as `N passed, N failed`.
"""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import Callable, Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_LINES = 800
MAX_COLUMNS = 120

# What the files of a folder may include, beside their own folder.
LAYERS = {
    "base": (),
    "protocol": ("base",),
    "storage": ("base",),
    "persistence": ("base", "protocol", "storage"),
    "server": ("base", "protocol", "storage", "persistence"),
    "server/commands": ("base", "protocol", "storage", "persistence", "server"),
    "server/net": ("base", "protocol", "storage", "persistence", "server", "server/commands"),
    "main": ("base", "protocol", "storage", "persistence", "server", "server/commands", "server/net"),
}

# Folders within a layer.
PARTS = {"server/lua": "server"}

SOURCES = {".cc", ".cpp", ".h"}
# The fuzz targets need clang's libFuzzer: a build of their own (QUARTET_FUZZ).
OTHER_BUILDS = ("tests/fuzz/",)

Finding = tuple[pathlib.Path, int, str]


def tracked() -> list[pathlib.Path]:
    """The files of the tree, those not yet committed too; no build products."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [path for path in (pathlib.Path(name) for name in names) if (ROOT / path).is_file()]


def layer(path: pathlib.Path) -> str | None:
    """The layer that a file of the server belongs to; None for tests and the like."""
    if path.name == "main.cc" and path.parent == pathlib.Path("."):
        return "main"
    folder = path.parent.as_posix()
    folder = PARTS.get(folder, folder)
    return folder if folder in LAYERS else None


def without_text(source: str) -> str:
    """The source with comments, strings and characters blanked out; lines stay where they are."""
    pattern = r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, lambda match: re.sub(r"[^\n]", " ", match.group()), source, flags=re.DOTALL)


class Tree:
    def __init__(self) -> None:
        self.files = tracked()
        self.code = {path: (ROOT / path).read_text() for path in self.files if path.suffix in SOURCES}
        self.product = {path: text for path, text in self.code.items() if layer(path)}

    def matches(self, pattern: str, allowed: tuple[str, ...]) -> Iterator[Finding]:
        """Where the server's code matches, outside the allowed layers."""
        for path, text in self.product.items():
            if layer(path) in allowed:
                continue
            for match in re.finditer(pattern, without_text(text)):
                yield path, text.count("\n", 0, match.start()) + 1, match.group().strip()


def includes_respect_the_layers(tree: Tree) -> Iterator[Finding]:
    for path, text in tree.product.items():
        own = layer(path)
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
            if not match:
                continue
            target = layer(pathlib.Path(match.group(1)))
            if target != own and target not in LAYERS[own]:
                yield path, number, f"{own} must not include {match.group(1)}"


def only_net_names_libuv(tree: Tree) -> Iterator[Finding]:
    yield from tree.matches(r"\buv_\w+|#\s*include\s*<uv\.h>", ("server/net",))


def only_base_reads_the_clock(tree: Tree) -> Iterator[Finding]:
    yield from tree.matches(
        r"\b(?:clock_gettime|gettimeofday|timespec_get|ftime|uv_hrtime|uv_clock_gettime|uv_gettimeofday)\b"
        r"|\b(?:system|steady|high_resolution|utc)_clock\b"
        r"|(?<![\w.>])(?:std::)?(?:time|clock)\s*\(\s*(?:nullptr|NULL|0|&\w+|)\s*\)(?=\s*[;,)*/%+-])",
        ("base",))


# Files that are not data: the configuration, the log, the PID file, sockets in the file system, what /proc tells.
OTHER_FILES = {pathlib.Path(name) for name in (
    "base/log.cc", "main.cc", "server/config_file.cc", "server/net/listener.cc", "server/process_info.cc")}


def only_the_system_disk_touches_files(tree: Tree) -> Iterator[Finding]:
    pattern = (r"(?<!\w)::(?:open|openat|creat|rename|renameat|unlink|unlinkat|remove|fsync|fdatasync|sync_file_range|"
               r"ftruncate|truncate|mkdir|flock|pwrite|pread)\s*\("
               r"|\bstd::(?:fopen|freopen|rename|remove\s*\(\s*\w+\s*\)|[iof]+stream\b)"
               r"|\bfilesystem::(?:rename|remove|remove_all|resize_file|copy\w*|create_\w+)\b"
               r"|(?<![\w.>:])(?:fopen|fsync|fdatasync|ftruncate)\s*\(")
    for path, number, text in tree.matches(pattern, ()):
        if path not in OTHER_FILES and path != pathlib.Path("persistence/system_disk.cc"):
            yield path, number, text


NOT_A_VARIABLE = re.compile(
    r"^\s*(?:using|typedef|class|struct|enum|union|namespace|template|friend|static_assert|extern|"
    r"public|private|protected|concept|requires|operator|return|case|default|#)\b|^\s*#|^\s*$")
CONSTANT = re.compile(r"\bconstexpr\b|\bconstinit\s+const\b")


def is_mutable_variable(statement: str) -> bool:
    """Whether a statement of namespace scope, or one that begins with `static`, defines a variable that can change."""
    statement = re.sub(r"\[\[.*?\]\]", "", statement, flags=re.DOTALL)
    if NOT_A_VARIABLE.match(statement) or CONSTANT.search(statement):
        return False
    declarator = re.split(r"=|\{", statement, maxsplit=1)[0]
    if "(" in re.sub(r"<[^<>]*(?:<[^<>]*>[^<>]*)*>", "", declarator) or "operator" in declarator:
        return False  # a function
    if not re.match(r"^\s*(?:(?:static|inline|constinit|thread_local|const|volatile|unsigned|signed)\s+)*"
                    r"[\w:]+(?:\s*<.*>)?[\s*&]+(?:const\s+)?\w+\s*(?:\[.*\])?\s*$", declarator, re.DOTALL):
        return False
    # `const T x` is constant, `const T* x` is not, `T* const x` is.
    return not re.search(r"\*\s*const\b", declarator) if "*" in declarator else not re.search(r"\bconst\b", declarator)


def namespace_statements(code: str) -> Iterator[tuple[int, str]]:
    """The statements of namespace scope with their offsets; bodies of functions and classes are left out."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: re.sub(r"[^\n]", " ", match.group()), code,
                  flags=re.MULTILINE)
    start, i = 0, 0
    while i < len(code):
        if code[i] == ";":
            yield start, code[start:i]
            start = i + 1
        elif code[i] == "}":
            start = i + 1  # the end of a namespace
        elif code[i] == "{":
            head = code[start:i]
            if re.search(r"\bnamespace\b[\w\s:]*$|\bextern\s*$", head):
                start = i + 1
            else:
                depth = 1
                while depth and i + 1 < len(code):
                    i += 1
                    depth += {"{": 1, "}": -1}.get(code[i], 0)
                is_definition = "=" in head or is_mutable_variable(head + "{")
                if is_definition:
                    yield start, head + "{}"
                if not re.match(r"\s*(?:;|,)", code[i + 1:]) or not is_definition:
                    start = i + 1
        i += 1


# A thread's heap of small blocks is as global as malloc's own.
GLOBAL_BY_NATURE = {pathlib.Path("base/slab.h"), pathlib.Path("base/slab.cc")}


def nothing_global_can_change(tree: Tree) -> Iterator[Finding]:
    for path, text in tree.product.items():
        if path in GLOBAL_BY_NATURE:
            continue
        code = without_text(text)
        seen = set()
        for offset, statement in namespace_statements(code):
            offset += len(statement) - len(statement.lstrip())
            if offset not in seen and is_mutable_variable(statement):
                seen.add(offset)
                yield path, code.count("\n", 0, offset) + 1, " ".join(statement.split())[:80]
        for match in re.finditer(r"\b(?:static|thread_local)\b[^;{}()]*[;={]", code):
            if match.start() not in seen and is_mutable_variable(match.group().rstrip(";")):
                yield path, code.count("\n", 0, match.start()) + 1, " ".join(match.group().split())[:80]


def every_file_is_compiled(tree: Tree) -> Iterator[Finding]:
    build = pathlib.Path(sys.argv[1]).resolve()
    ninja = ["ninja", "-C", str(build), "-t"]
    commands = json.loads(subprocess.run([*ninja, "compdb"], check=True, capture_output=True, text=True).stdout)
    used = {(build / command["file"]).resolve() for command in commands}
    # What the compiler said it read: `  path` lines under each object.
    for line in subprocess.run([*ninja, "deps"], check=True, capture_output=True, text=True).stdout.splitlines():
        if line.startswith("    "):
            used.add((build / line.strip()).resolve())
    for path in tree.code:
        if not path.as_posix().startswith(OTHER_BUILDS) and (ROOT / path).resolve() not in used:
            yield path, 1, "no build compiles it"


# Folders in which some lines are still longer. A folder comes off this list with its last long line, and none comes on.
WIDE = {"server", "server/lua", "server/net", "tests/clients", "tests/differential", "tests/fault", "tests/fuzz",
        "tests/memcached", "tests/support", "tests/unit", "tests/wire"}


def no_line_is_too_long(tree: Tree) -> Iterator[Finding]:
    wide = set()
    for path in tree.files:
        if path.suffix not in SOURCES | {".py"}:
            continue
        for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
            if len(line) > MAX_COLUMNS:
                wide.add(path.parent.as_posix())
                if path.parent.as_posix() not in WIDE:
                    yield path, number, f"{len(line)} columns; at most {MAX_COLUMNS}"
    for folder in sorted(WIDE - wide):
        yield pathlib.Path("tests/style/check.py"), 1, f"{folder} has no longer line any more: take it off WIDE"


def no_file_is_too_long(tree: Tree) -> Iterator[Finding]:
    for path in tree.files:
        if path.suffix in SOURCES | {".py"}:
            lines = len((ROOT / path).read_text().splitlines())
            if lines > MAX_LINES:
                yield path, lines, f"{lines} lines; at most {MAX_LINES}"


RULES: tuple[Callable[[Tree], Iterator[Finding]], ...] = (
    includes_respect_the_layers,
    only_net_names_libuv,
    only_base_reads_the_clock,
    only_the_system_disk_touches_files,
    nothing_global_can_change,
    every_file_is_compiled,
    no_file_is_too_long,
    no_line_is_too_long,
)


def main() -> int:
    tree = Tree()
    failed = 0
    for rule in RULES:
        findings = list(rule(tree))
        failed += bool(findings)
        print(f"{'FAILED' if findings else 'ok':6} {rule.__name__.replace('_', ' ')}")
        for path, line, text in findings:
            print(f"       {path}:{line}: {text}")
    print(f"{len(RULES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
