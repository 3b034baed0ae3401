"""A short, always equal run of `script/fuzz`: coverage of every schema rule, and some chains of requests."""

from pathlib import Path

from medtrack.tests.fuzz.fuzz import fuzz
from medtrack.tests.support.running_product import RunningProduct


def test_made_up_requests_find_no_defect(tmp_path: Path) -> None:
    with RunningProduct(tmp_path) as product:
        product.open()
        done = fuzz(
            product,
            *("--phases", "coverage,stateful", "--max-examples", "5"),
            *("--seed", "1", "--generation-deterministic"),
        )
        assert done.returncode == 0, done.stdout
        assert "request_failed" not in (tmp_path / "web.log").read_text()
