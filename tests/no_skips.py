"""`--no-skips`: pytest fails if a test is skipped that should not be."""

import pytest

# What --no-skips lets pass: what cannot be tried as root or without a server.
SKIPS_ALLOWED = ("root may read everything", "sshd ", "ssh is not installed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="a test that is skipped, but for SKIPS_ALLOWED, fails the run",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not session.config.getoption("--no-skips"):
        return
    skipped = terminal.stats.get("skipped", [])
    reasons = {report.longrepr[2].removeprefix("Skipped: ") for report in skipped}
    strange = [reason for reason in reasons if not any(known in reason for known in SKIPS_ALLOWED)]
    if strange:
        terminal.write_line("not to be skipped: " + "; ".join(sorted(strange)), red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
