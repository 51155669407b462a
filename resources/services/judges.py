"""Judges by their row in the study."""

import os
from pathlib import Path

from calib_assets.study import Study
from calib_assets.study.judging import JudgeRow
from resources.artifacts.objects import Objects
from resources.endpoints.shared_replies import SharedReplies
from resources.judges import Judge, LlmJudge, LlmJudgeSettings, LocalJudge, SettingsError, VerdictStore, VerifierJudge
from resources.services.sharing import SharedJudge

ENDPOINT_VARIABLE = "CALIB_JUDGE_ENDPOINT"
VERDICT_FOLDER = "verdicts"


class Judges:
    """Opens judges; their verdicts are kept under the store, apart from results: a paid answer outlives them all.

    Args:
        language_models: How the models of local judges are opened.
        objects: Storage through which machines share verdicts; None where the store is a folder.
    """

    def __init__(self, language_models, objects: Objects | None = None):
        self.language_models, self.objects = language_models, objects

    def open(self, row: JudgeRow, study: Study, root: Path) -> Judge:
        """A judge; nothing is asked or loaded before it has something to judge.

        Args:
            row: The study's row.
            study: For the model of a local judge.
            root: Folder of the store.

        Raises:
            SettingsError: If the row cannot be used as it is, with the remedy.
        """
        if row.kind == "verifier":
            return VerifierJudge(row.name, row.matching)
        judge = self._rubric_judge(row, study, root)
        if self.objects is None:
            return judge
        return SharedJudge(judge, SharedReplies(judge.verdicts, self.objects))

    def _rubric_judge(self, row: JudgeRow, study: Study, root: Path) -> LlmJudge | LocalJudge:
        verdicts = VerdictStore(root / VERDICT_FOLDER)
        if row.kind == "llm":
            return LlmJudge(judge_settings(row), verdicts)
        model = study.model(row.model)
        return LocalJudge(
            row.name,
            lambda: self.language_models.open(model, root),
            verdicts,
            rubric=row.rubric,
            threshold=row.threshold,
            reason_tokens=row.max_tokens,
            max_missing_share=row.max_missing_share,
        )

    def unready(self, row: JudgeRow) -> str | None:
        """Why a judge could not be asked now (no endpoint, no key, a wrong field), or None.

        Verdicts that are known need neither, so this is said before work begins and stops nothing.
        """
        if row.kind != "llm":
            return None
        try:
            judge_settings(row)
        except SettingsError as error:
            return str(error)
        if row.api_key_env is not None and not os.environ.get(row.api_key_env, "").strip():
            return (
                f"judge {row.name!r}: the environment variable {row.api_key_env} is not set; export it before texts "
                "without a verdict are reached"
            )
        return None


def judge_settings(row: JudgeRow) -> LlmJudgeSettings:
    endpoint = row.endpoint or os.environ.get(ENDPOINT_VARIABLE)
    if not endpoint:
        raise SettingsError(
            f"judge {row.name!r}, field endpoint",
            "null, and the variable is not set",
            f"write the base URL of an OpenAI-compatible server, or export {ENDPOINT_VARIABLE}",
        )
    price, budget = row.price_per_million, row.budget
    return LlmJudgeSettings(
        name=row.name,
        model=row.model,
        endpoint=endpoint,
        api_key_env=row.api_key_env,
        rubric=row.rubric,
        threshold=row.threshold,
        temperature=row.temperature,
        max_tokens=row.max_tokens,
        seed=row.seed,
        structured=row.structured,
        concurrency=row.concurrency,
        timeout_s=row.timeout_s,
        max_attempts=row.max_attempts,
        price_per_million=None if price is None else (price.prompt, price.completion),
        max_tokens_total=None if budget is None else budget.tokens,
        max_cost=None if budget is None else budget.cost,
        max_missing_share=row.max_missing_share,
    )
