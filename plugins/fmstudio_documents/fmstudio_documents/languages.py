"""File name → programming language, by the suffixes and names in common use (as GitHub's Linguist lists them)."""

from __future__ import annotations

import re
from pathlib import PurePath

_SUFFIXES = {
    "python": "py pyi pyw", "javascript": "js mjs cjs jsx", "typescript": "ts tsx mts cts", "java": "java",
    "kotlin": "kt kts", "scala": "scala sc", "groovy": "groovy gradle", "c": "c h", "c++": "cc cpp cxx hpp hh hxx",
    "c#": "cs", "f#": "fs fsx", "go": "go", "rust": "rs", "ruby": "rb rake gemspec", "php": "php", "perl": "pl pm",
    "swift": "swift", "objective-c": "m mm", "r": "r", "julia": "jl", "lua": "lua", "dart": "dart", "elixir": "ex exs",
    "erlang": "erl hrl", "haskell": "hs lhs", "ocaml": "ml mli", "clojure": "clj cljs cljc edn", "elm": "elm",
    "zig": "zig", "nim": "nim", "verilog": "v sv svh", "vhdl": "vhd vhdl", "fortran": "f f90 f95 f03", "pascal": "pas pp",
    "ada": "ada adb ads", "cobol": "cob cbl", "assembly": "asm s", "cuda": "cu cuh", "sql": "sql", "vue": "vue",
    "svelte": "svelte", "css": "css", "scss": "scss sass", "less": "less", "html": "html htm", "xml": "xml xsd xsl",
    "markdown": "md markdown", "restructuredtext": "rst", "latex": "tex", "shell": "sh bash zsh fish",
    "powershell": "ps1", "batch": "bat cmd", "yaml": "yml yaml", "toml": "toml", "json": "json", "ini": "ini cfg conf",
    "protobuf": "proto", "graphql": "graphql gql", "terraform": "tf", "solidity": "sol", "cmake": "cmake",
    "makefile": "mk", "text": "txt",
}  # fmt: skip
_BY_SUFFIX = {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_BY_NAME = {
    "makefile": "makefile", "gnumakefile": "makefile", "dockerfile": "dockerfile", "containerfile": "dockerfile",
    "jenkinsfile": "groovy", "rakefile": "ruby", "gemfile": "ruby", "vagrantfile": "ruby", "cmakelists.txt": "cmake",
    "build": "starlark", "build.bazel": "starlark", "workspace": "starlark", "justfile": "just",
}  # fmt: skip
_SHEBANG = re.compile(
    r"#!\s*\S*?(?:env\s+(?:-S\s+)?)?(?:/)?(python|node|ruby|perl|bash|zsh|sh|php|lua|Rscript)[\d.]*\b"
)
_INTERPRETERS = {"node": "javascript", "bash": "shell", "zsh": "shell", "sh": "shell", "Rscript": "r"}


def language_of(name: str, text: str) -> str:
    """Name a file's language; empty when neither name nor first line tells."""
    lower = name.lower()
    if lower in _BY_NAME:
        return _BY_NAME[lower]
    suffix = PurePath(lower).suffix.removeprefix(".")
    if suffix in _BY_SUFFIX:
        return _BY_SUFFIX[suffix]
    first = text.split("\n", 1)[0][:200]
    match = _SHEBANG.match(first)
    return _INTERPRETERS.get(match[1], match[1]) if match else ""
