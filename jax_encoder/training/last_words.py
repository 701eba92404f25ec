"""A word for whoever waits, of a process that was ended without one: killed, or ended from within by a library.

Such a process cannot say anything. A small one beside it, which has nothing else to do, sees that it is gone.
"""

import contextlib
import subprocess
import sys

# Reads until the writing end is closed, as it is by any end; a last character says that all has been said.
_WAIT = "import sys; said = sys.stdin.read(); sys.stderr.write('' if said.endswith('.') else said)"


class LastWords:
    """While entered, `words` are printed on the error stream if this process is gone.

    Args:
        words: lines.
    """

    def __init__(self, words: str):
        self._words = words.rstrip() + "\n"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "LastWords":
        # Of no terminal's group: Ctrl-C is for the process that it waits for.
        command = [sys.executable, "-I", "-S", "-c", _WAIT]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        assert self._process.stdin is not None, "asked for"
        self._process.stdin.write(self._words)
        self._process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self.unsaid()

    def unsaid(self) -> None:
        """Leaves them unsaid, whatever becomes of this process."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(".")
                process.stdin.close()
            process.wait()
