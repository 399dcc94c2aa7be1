"""Errors a user can act on: one line saying what is wrong, what is allowed, what to do."""

import reprlib

_LONGEST = 2000  # characters of a message; a path or a list of names can be long
_NAMES = reprlib.Repr()
_NAMES.maxstring = _NAMES.maxother = 100


class SynqError(Exception):
    """A failure the user can understand and mend; the command line exits with 1.

    Its message is one line, whatever the names and paths in it hold.

    Attributes:
        settings: the parameters that it is about, as `table_width`; the command line names their
            options.
    """

    exit_code = 1

    def __init__(self, message: str, settings: tuple[str, ...] = ()) -> None:
        super().__init__(one_line(message))
        self.settings = settings


class UsageError(SynqError):
    """An argument that cannot be right, whatever the machine; the command line exits with 2."""

    exit_code = 2


def one_line(text: str) -> str:
    r"""`text` with what would break a line, or could not be shown, escaped; its end is cut off.

    >>> one_line("a\nb")
    'a\\nb'
    """
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def quoted(name: object) -> str:
    """A name out of a user's file for a message: in quotes, and its middle left out if long."""
    return _NAMES.repr(name)


def nearest_names(given: str, valid: list[str]) -> str:
    """A clause naming the valid names closest to `given`, for the end of an error message.

    >>> nearest_names("pynq-z3", ["pynq-z1", "pynq-z2", "kv260"])
    'did you mean pynq-z2 or pynq-z1?'
    """
    from difflib import get_close_matches

    close = get_close_matches(given, valid, n=2)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {', '.join(valid)}"


class NoToolError(SynqError):
    """A tool that the stage needs is not to be found; the command line exits with 3."""

    exit_code = 3


class InterruptedWorkError(SynqError):
    """Ctrl-C where, unlike elsewhere, what is done is kept; the command line exits with 130."""

    exit_code = 130
