"""Running a notebook of ``notebooks/`` from its first cell, in a kernel of this Python.

``make notebooks`` calls this file: it runs every notebook and writes its outputs into it.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook as stored."""
    return nbformat.read(path, as_version=4)


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh run; raises nbclient's CellExecutionError where a cell fails."""
    notebook = read(path)
    with TemporaryDirectory(prefix="kernel-") as folder:
        # Sockets in a folder instead of ports; and this Python, whatever other kernels the machine knows.
        manager = AsyncKernelManager(transport="ipc", ip=f"{folder}/socket")
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager._kernel_spec = KernelSpec(argv=command, language="python")
        place = {"metadata": {"path": str(path.parent)}}
        NotebookClient(notebook, km=manager, timeout=240, resources=place, record_timing=False).execute(
            cleanup_kc=True
        )
    return notebook


def texts(notebook: nbformat.NotebookNode) -> list[str]:
    """What each code cell prints and shows, as text; an image or a page is named by its kind alone."""
    return [
        "\n".join(_text(output) for output in cell.outputs) for cell in notebook.cells if cell.cell_type == "code"
    ]


def _text(output: nbformat.NotebookNode) -> str:
    if output.output_type == "stream":
        return output.text
    images = [kind for kind in output.data if kind.startswith("image/")]
    return ", ".join(images) or output.data["text/plain"]


if __name__ == "__main__":
    for place in NOTEBOOKS:
        nbformat.write(run(place), place)
        print(f"{place.name}: {place.stat().st_size / 1000:.0f} kB")
