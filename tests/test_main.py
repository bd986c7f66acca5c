from __future__ import annotations

import subprocess
import sys

#: Python, in which the command line is interrupted while it is being read.
INTERRUPTED = """
import sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from idtd_cli.__main__ import main
main()
"""


def test_control_c_before_there_is_a_command_line_takes_no_words() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "idtd_cli", "--version"], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("idtd ")
