"""Speakers: whoever can answer a question, a model with weights here or one behind a server, and their samples.

Belongs here: questions, samples, how a local model and an API model are asked, the store of paid samples. Does not
belong here: which questions a study asks, what is made of the answers.
"""

from resources.speakers.api_speaker import ApiSpeaker
from resources.speakers.local_speaker import LocalSpeaker
from resources.speakers.questions import Exchange, Question, Sample, Sampling, Speaker
from resources.speakers.sample_store import SampleStore
from resources.speakers.settings import ApiModelSettings

__all__ = [
    "ApiModelSettings",
    "ApiSpeaker",
    "Exchange",
    "LocalSpeaker",
    "Question",
    "Sample",
    "SampleStore",
    "Sampling",
    "Speaker",
]
