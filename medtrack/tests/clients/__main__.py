"""Runs the generated clients against a real server: `python -m medtrack.tests.clients FOLDER`, see script/clients."""

import subprocess
import sys
import tempfile
from pathlib import Path

from medtrack.tests.support.running_product import RunningProduct


def main(folder: str) -> None:
    with tempfile.TemporaryDirectory() as directory, RunningProduct(Path(directory)) as product:
        product.open()
        url = f"http://127.0.0.1:{product.port}"
        for command in (["node", "built/story.js"], ["venv/bin/python", "story.py"]):
            subprocess.run([*command, url], cwd=folder, check=True)


if __name__ == "__main__":
    main(sys.argv[1])
