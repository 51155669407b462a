"""Programming problems of a study: read from a file on this machine, or fetched from the hub at a fixed revision."""

from calib_assets.study import Study
from calib_assets.study.livecodebench import release_files
from calib_assets.study.problem_sets import problems_of
from calib_assets.study.problems import Problem
from calib_assets.study.sweeps import HubFile
from resources.services.prompt_sets import fetch


class ProblemSets:
    """Problems by the name of their ``coding`` row."""

    def read(self, study: Study, name: str, most: int | None = None) -> tuple[Problem, ...]:
        """Checked problems of one row, the first ``most`` of them.

        Raises:
            ProblemError: If a line is wrong, with file, line, value and remedy.
            RuntimeError: If a hub file cannot be fetched.
        """
        row, bench = study.coding_row(name), study.coding_row(name).livecodebench
        fetched = []
        if bench is not None and bench.files is None:
            files = release_files(bench.release)
            fetched = [fetch(HubFile(id=bench.id, revision=bench.revision, file=file)) for file in files]
        return problems_of(row, fetched)[:most]
