"""promtool accepts the exposition, whatever a portal sends."""

import subprocess
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from docspace_exporter.docspace import decode
from docspace_exporter.formats import Format
from tests.support.json_strategies import RECORDS, encode, exposed
from tests.support.portals import RECORD


@settings(max_examples=max(10, settings().max_examples // 100))
@given(records=st.lists(RECORDS, min_size=5, max_size=30))
def test_promtool_finds_nothing_wrong_with_any_exposition(records: list[Any]) -> None:
    text = exposed(decode.decode(encode({"response": [RECORD, *records]})), Format.TEXT)
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
