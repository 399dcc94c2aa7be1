"""g++: a project's C++ to executables and libraries; each source is compiled once and kept.

What `synq.hls.objects` keeps of a compilation is found again by all that went into it, so a
project that was exported is verified without a compiler at work.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from synq.errors import SynqError
from synq.hls.objects import Entry, ObjectCache, digest_of
from synq.process import Command, run

# The sources and ap_types as in a plain `csim_design`, nothing tuned for one machine; beyond -O2
# compiling takes longer than running gains. Position-independent: the firmware is one object for
# the test benches and for hls4ml's library.
_FLAGS = ("-std=c++14", "-O2", "-fPIC", "-Ifirmware/ap_types", '-DWEIGHTS_DIR="firmware/weights"')
# As hls4ml's own build script: a template's static variable belongs to its library, not to all.
_GCC_FLAG = "-fno-gnu-unique"
_VARIABLES = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "GCC_EXEC_PREFIX", "COMPILER_PATH")


@dataclass(frozen=True)
class Unit:
    """What g++ compiles at once; names are relative to the project's folder `hls`.

    Attributes:
        source: a C++ file.
        before: another one, taken in ahead of it: parsing the arbitrary-precision types, most of
            the work, is then done once for both.
    """

    source: str
    before: str | None = None


@dataclass(frozen=True)
class Program:
    """What is linked: an executable, or a shared library.

    Attributes:
        name: of its file.
        units: what it is linked from.
        shared: whether it is a library.
    """

    name: str
    units: tuple[Unit, ...]
    shared: bool = False


def find_compiler() -> str:
    """The path of g++.

    Raises:
        SynqError: it is not installed.
    """
    compiler = shutil.which("g++")
    if compiler is None:
        raise SynqError(
            "g++ is not installed; the C simulation needs it: "
            "install your system's C++ compiler (Debian and Ubuntu: the package g++)"
        )
    return compiler


@contextmanager
def building(
    place: Path, programs: Sequence[Program], scratch: Path, cache_dir: Path
) -> Iterator["Builds"]:
    """Compile the programs' units on every core while the caller works.

    Args:
        place: the project's folder `hls`, or a copy of it.
        scratch: folder for objects and programs.
        cache_dir: synq's cache; objects are kept in it.

    Raises:
        SynqError: g++ is not installed.
    """
    compiler = _Compiler(find_compiler(), place, scratch, ObjectCache(cache_dir / "objects"))
    units = list(dict.fromkeys(unit for program in programs for unit in program.units))
    pool = ThreadPoolExecutor(os.cpu_count() or 1)
    try:
        objects = {
            unit: pool.submit(compiler.compile, unit, scratch / f"unit_{number}.o")
            for number, unit in enumerate(units)
        }
        yield Builds(compiler, objects)
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Builds:
    """Compilers at work, and what they have made."""

    compiler: "_Compiler"
    objects: dict[Unit, "Future[_Object]"]

    def finish(self, program: Program) -> Path:
        """Wait for the program's units and link them.

        Raises:
            SynqError: g++ failed; says its first error.
        """
        objects = [self.objects[unit].result().path for unit in program.units]
        return self.compiler.link(objects, program)

    def log(self) -> str:
        """What g++ printed, all units done."""
        return "".join(made.result().log for made in self.objects.values())


@dataclass(frozen=True)
class _Object:
    path: Path
    log: str


@dataclass(frozen=True)
class _Compiler:
    command: str
    place: Path
    scratch: Path
    cache: ObjectCache

    def compile(self, unit: Unit, path: Path) -> _Object:
        """The unit's object file at `path`, from the cache or made anew."""
        key = self._key(unit)
        entry = self.cache.load(key)
        if entry is None:
            entry = self._compiled(unit, path)
            self.cache.store(key, entry)
        else:
            path.write_bytes(entry.content)
        return _Object(path, entry.log)

    def link(self, objects: list[Path], program: Program) -> Path:
        made = self.scratch / program.name
        shared = ["-shared"] if program.shared else []
        self._run([*shared, "-o", str(made), *map(str, objects)])
        return made

    def _compiled(self, unit: Unit, path: Path) -> Entry:
        listed = path.with_suffix(".d")
        ahead = [] if unit.before is None else ["-include", unit.before]
        log = self._run(
            [*self.flags, "-MD", "-MF", str(listed), *ahead, "-c", "-o", str(path), unit.source]
        )
        outside = [name for name in _dependencies(listed.read_text()) if Path(name).is_absolute()]
        return Entry(path.read_bytes(), log, {name: digest_of(name) for name in outside})

    @cached_property
    def flags(self) -> tuple[str, ...]:
        return (*_FLAGS, _GCC_FLAG) if "gcc version" in self._identity else _FLAGS

    @cached_property
    def _identity(self) -> str:
        """The compiler: its path and configuration, and the date of the part that compiles."""
        told = self._run(["-v", "-print-prog-name=cc1plus"])
        parts = [Path(self.command), *map(Path, told.splitlines()[-1:])]
        dates = [
            f"{path.stat().st_size} {path.stat().st_mtime_ns}" for path in parts if path.exists()
        ]
        environment = [f"{name}={os.environ.get(name)}" for name in _VARIABLES]
        return "\n".join([self.command, told, *dates, *environment])

    @cached_property
    def _headers(self) -> str:
        """Digest of all that a unit may include from the project, names and contents."""
        return _digest_of_files(
            self.place, sorted(path for path in (self.place / "firmware").rglob("*"))
        )

    def _key(self, unit: Unit) -> str:
        own = [self.place / name for name in (unit.before, unit.source) if name is not None]
        parts = [self._identity, *self.flags, repr(unit), self._headers]
        parts.append(_digest_of_files(self.place, own))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _run(self, arguments: list[str]) -> str:
        # An interrupted compiler may leave its temporary files: they go with our scratch folder.
        environment = {"TMPDIR": str(self.scratch), "LC_ALL": "C"}
        ended = run(Command([self.command, *arguments], self.place, environment))
        if ended.code != 0:
            errors = [line for line in ended.log.splitlines() if "error" in line.lower()]
            reason = errors[0] if errors else f"exit code {ended.code}"
            raise SynqError(f"g++ could not build the C simulation: {reason}")
        return ended.log


def _digest_of_files(root: Path, paths: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in paths:
        if path.is_file():
            whole.update(f"{path.relative_to(root)}\0{digest_of(path)}\0".encode())
    return whole.hexdigest()


def _dependencies(rule: str) -> list[str]:
    """The files that a makefile rule of -MD names after its target."""
    _, _, names = rule.replace("\\\n", " ").partition(": ")
    spaced = names.replace("\\ ", "\0").split()
    return [name.replace("\0", " ").replace("$$", "$") for name in spaced]
