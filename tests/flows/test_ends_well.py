"""A process that has run flows ends as it should, whatever is left in it."""

import os
import subprocess
import sys

from tests.flows.sample import ROOT

# A time zone of pydantic's that becomes garbage when all modules are gone.
LEFT_BEHIND = """
import gc, sys
from datetime import datetime
from pydantic import TypeAdapter

class Cycle: pass

gc.disable()
left = Cycle()
left.itself = left
left.at = TypeAdapter(datetime).validate_json('"2025-09-01T06:00:00+10:00"')
sys.left, left = left, None
"""


def test_a_process_that_has_run_flows_ends_without_a_segmentation_fault() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from tasks.runs import summary\n" + LEFT_BEHIND],
        env=os.environ | {"PYTHONMALLOC": "debug"},  # what is freed is overwritten
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
