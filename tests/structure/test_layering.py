"""The layering rule bites: what a layer may include compiles with that layer's own arguments, what it may not does not.

    base < http < store < model < balance < contract, dataplane < compiler < services < fabric < health < director < agent < api < controller < cli

Code may use what stands to its left."""

import json
import pathlib
import re
import shlex
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = ROOT / "build" / "release"
STACK = ["base", "http", "store", "model", "balance", "dataplane", "compiler", "services", "fabric", "health", "director", "agent", "api", "controller", "cli"]
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)
CONTRACT = {"tables.h", "rules.h", "drop-reasons.def", "desired.h",
            *(path.name for path in (ROOT / "src" / "dataplane").glob("tables-*.h"))}


def layer_of(path):
    return path.relative_to(ROOT / "src").parts[0]


def compile_arguments():
    """{layer: [the distinct argument lists that its C files are compiled with]}"""
    if not (BUILD / "compile_commands.json").exists():
        subprocess.run(["meson", "setup", str(BUILD), "--buildtype=release"], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)
    found = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        file = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        if not file.is_relative_to(ROOT / "src") or file.suffix != ".c" or "bpf" in file.parts:
            continue
        words, kept = iter(shlex.split(entry["command"])), []
        for word in words:
            if word in ("-o", "-MQ", "-MF"):
                next(words)
            elif word not in ("-MD", "-c", entry["file"]) and not re.match(r"-I[^/]", word):
                kept.append(word)  # Relative folders are the target's own, generated files.
        lists = found.setdefault(layer_of(file), [])
        if kept not in lists:
            lists.append(kept)
    return found


ARGUMENTS = compile_arguments()
LAYERS = [layer for layer in STACK if layer in ARGUMENTS]


def headers(layer):
    return sorted(path for path in (ROOT / "src" / layer).rglob("*.h") if "bpf" not in path.parts)


def include(arguments, header):
    """Compiles one line; returns the compiler's complaint, or an empty string."""
    done = subprocess.run([*arguments, "-fsyntax-only", "-x", "c", "-"], cwd=BUILD, capture_output=True, text=True,
                          input=f'#include "{header}"\n')
    return done.stderr if done.returncode else ""


def weft_name(path):
    return f"weft/{path.relative_to(ROOT / 'src')}"


def test_every_layer_is_known():
    folders = {path.name for path in (ROOT / "src").iterdir() if path.is_dir()}
    assert folders <= set(STACK), "a layer that this test does not know: add it to STACK"
    assert "base" in LAYERS and "store" in LAYERS


@pytest.mark.parametrize("layer", LAYERS)
def test_own_headers_compile_alone(layer):
    for header in headers(layer):
        complaint = include(ARGUMENTS[layer][0], weft_name(header))
        assert not complaint, f"{weft_name(header)} does not compile by itself in {layer}:\n{complaint}"


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_below_are_out_of_reach(layer):
    below = STACK[STACK.index(layer) + 1:]
    candidates = [(lower, header) for lower in below for header in headers(lower)[:1]]
    for arguments in ARGUMENTS[layer]:
        for lower, header in candidates:
            complaint = include(arguments, weft_name(header))
            assert "No such file or directory" in complaint, f"{layer} can include {weft_name(header)}"


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer != "base"])
def test_base_is_in_reach(layer):
    for arguments in ARGUMENTS[layer]:
        assert not include(arguments, "weft/base/util.h")


@pytest.mark.parametrize("layer", [layer for layer in ("store", "model", "balance", "dataplane", "compiler", "services") if layer in LAYERS])
def test_only_programs_see_http(layer):
    for arguments in ARGUMENTS[layer]:
        assert "No such file or directory" in include(arguments, "weft/http/http.h")


def test_compiler_sees_the_contract_but_not_the_loader():
    if "compiler" not in ARGUMENTS:
        pytest.skip("there is no compiler yet")
    for arguments in ARGUMENTS["compiler"]:
        assert not include(arguments, "weft/dataplane/tables.h")
        for header in headers("dataplane"):
            if header.name not in CONTRACT:
                assert "No such file or directory" in include(arguments, weft_name(header)), header


def sources():
    for folder in ("src", "tests", "bench"):
        for suffix in ("*.c", "*.h", "*.def"):
            yield from (ROOT / folder).rglob(suffix)


def test_no_include_climbs():
    for path in sources():
        for _, name in INCLUDE.findall(path.read_text()):
            assert ".." not in pathlib.PurePath(name).parts, f"{path.relative_to(ROOT)} includes {name}"


def test_own_headers_are_included_by_their_full_name():
    for path in sources():
        if not path.is_relative_to(ROOT / "src"):
            continue
        for quote, name in INCLUDE.findall(path.read_text()):
            if name.startswith("weft/"):
                assert quote == '"', f"{path.relative_to(ROOT)} includes <{name}>"
            elif quote == '"':
                assert name.endswith(".skel.h"), f'{path.relative_to(ROOT)} includes "{name}"'


def test_no_include_names_a_lower_layer():
    """Also in files that are compiled another way, as the BPF programs are."""
    for path in sources():
        if not path.is_relative_to(ROOT / "src"):
            continue
        allowed = STACK[:STACK.index(layer_of(path)) + 1]
        for _, name in INCLUDE.findall(path.read_text()):
            if name.startswith("weft/"):
                assert name.split("/")[1] in allowed, f"{path.relative_to(ROOT)} includes {name}"
