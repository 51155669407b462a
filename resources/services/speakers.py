"""Speakers by their row in the study."""

import os
from pathlib import Path

from calib_assets.study.models import ModelRow
from calib_assets.study.speaking import ApiModelRow
from resources.artifacts.objects import Objects
from resources.endpoints.errors import SettingsError
from resources.endpoints.shared_replies import SharedReplies
from resources.services.sharing import SharedSpeaker
from resources.speakers import ApiModelSettings, ApiSpeaker, LocalSpeaker, SampleStore, Speaker

SAMPLE_FOLDER = "samples"


class Speakers:
    """Opens speakers; samples of API models are kept under the store, apart from results: a paid answer outlives them.

    Args:
        language_models: How models with weights are opened.
        objects: Storage through which machines share samples; None where the store is a folder.
    """

    def __init__(self, language_models, objects: Objects | None = None):
        self.language_models, self.objects = language_models, objects

    def open(self, row: ModelRow | ApiModelRow, root: Path, answer_prefix: str = "") -> Speaker:
        """A speaker; nothing is asked or loaded before it has a question.

        Args:
            row: The study's row.
            root: Folder of the store.
            answer_prefix: Beginning of the answer that is given to a chat model; servers take none.

        Raises:
            SettingsError: If the row cannot be used as it is, with the remedy.
        """
        if isinstance(row, ApiModelRow):
            speaker = ApiSpeaker(api_settings(row), SampleStore(root / SAMPLE_FOLDER))
            if self.objects is None:
                return speaker
            return SharedSpeaker(speaker, SharedReplies(speaker.samples, self.objects))
        models = self.language_models
        return LocalSpeaker(lambda: models.open(row, root, answer_prefix), row.variant == "base", models.batch_rows)

    def unready(self, row: ModelRow | ApiModelRow) -> str | None:
        """Why a speaker could not be asked now (no key, a wrong field, a missing engine), or None.

        Answers that are known need neither, so this is said before work begins and stops nothing.
        """
        if not isinstance(row, ApiModelRow):
            return self.language_models.unready(row)
        try:
            api_settings(row).api_key(os.environ)
        except SettingsError as error:
            return str(error)
        return None


def api_settings(row: ApiModelRow) -> ApiModelSettings:
    price, budget = row.price_per_million, row.budget
    return ApiModelSettings(
        name=row.name,
        model=row.model,
        endpoint=row.endpoint,
        api_key_env=row.api_key_env,
        concurrency=row.concurrency,
        timeout_s=row.timeout_s,
        max_attempts=row.max_attempts,
        price_per_million=None if price is None else (price.prompt, price.completion),
        max_tokens_total=None if budget is None else budget.tokens,
        max_cost=None if budget is None else budget.cost,
        system_prompt=row.system_prompt,
        parameters=row.parameters,
        fixed_sampling=row.fixed_sampling,
        logprobs=row.logprobs,
    )
