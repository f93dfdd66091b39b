"""Man pages say what the programs do: every option of --help is in its page, and nothing else is.

The programs come from build/release ($BUILD): what runs is compared with what is written."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD", ROOT / "build" / "release"))
MAN = ROOT / "docs" / "man"
PROGRAMS = {"weft-api": "api", "weft-agent": "agent", "weft-fabric": "fabric"}
FOLDERS = {"weft-api": "api", "weft-agent": "agent", "weft-fabric": "controller"}
PAGES = sorted(MAN.glob("*.[1-9]"))


def help_of(folder, program, *words):
    path = BUILD / "src" / folder / program
    if not path.exists():
        pytest.skip(f"{path} is not built")
    return subprocess.run([path, *words, "--help"], capture_output=True, text=True, check=True).stdout


def listed_flags(text):
    """Flags at the start of a line of --help."""
    return set(re.findall(r"^ +(?:-\w, )?--([\w-]+)", text, re.M))


def page_flags(lines):
    return {flag for line in lines if line.startswith(".It") for flag in re.findall(r"Fl -([\w-]+)", line)}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_is_well_formed(page):
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")
    result = subprocess.run(["groff", "-mdoc", "-Tutf8", "-wall", page], capture_output=True, text=True)
    assert result.returncode == 0 and not result.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_daemons_options(program):
    lines = (MAN / f"{program}.8").read_text().splitlines()
    assert page_flags(lines) == listed_flags(help_of(FOLDERS[program], program))


@pytest.mark.parametrize("program", PROGRAMS)
def test_settings_are_the_flags(program):
    settings = set(re.findall(r"^\.It Li ([\w-]+) Li =", (MAN / f"{program}.conf.5").read_text(), re.M))
    flags = listed_flags(help_of(FOLDERS[program], program)) - {"help", "version", "config"}
    assert settings == flags
    example = (ROOT / "packaging" / "etc" / f"{PROGRAMS[program]}.conf").read_text()
    assert set(re.findall(r"^#?([\w-]+) = ", example, re.M)) <= flags


def weft_commands():
    text = help_of("cli", "weft").split("Commands:")[1].split("Options of every command")[0]
    return re.findall(r"^  (\S+(?: \S+)*?)  +", text, re.M)


def page_commands():
    """{command: lines of its entry} of weft(1)."""
    commands, current = {}, None
    for line in (MAN / "weft.1").read_text().splitlines():
        match = re.match(r"\.It Cm ([a-z][a-z -]*?)(?: (?:Ar|Op)\b.*)?$", line)
        if match:
            current = commands.setdefault(match[1], [])
        elif line.startswith((".Ss", ".Sh")):
            current = None
        elif current is not None:
            current.append(line)
    return commands


def test_weft_commands():
    assert sorted(page_commands()) == sorted(weft_commands())


def test_weft_options_of_each_command():
    for command, lines in page_commands().items():
        assert page_flags(lines) == listed_flags(help_of("cli", "weft", *command.split())), command


def test_weft_options_of_every_command():
    page = (MAN / "weft.1").read_text()
    section = page[page.index(".Ss Options of every command"):page.index(".Sh COMMANDS")]
    text = help_of("cli", "weft")
    assert page_flags(section.splitlines()) == listed_flags(text[text.index("Options of every command"):])


def test_weft_exit_statuses():
    source = (ROOT / "src" / "cli" / "command.h").read_text()
    numbers = set(re.findall(r"EXIT_\w+ = (\d)", source))
    page = (MAN / "weft.1").read_text()
    section = page[page.index(".Sh EXIT STATUS"):page.index(".Sh EXAMPLES")]
    assert set(re.findall(r"^\.It (\d)", section, re.M)) == numbers
