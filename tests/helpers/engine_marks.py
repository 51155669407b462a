"""Marks of tests that run a vLLM engine; vLLM and torch warn of their own use of what they have deprecated."""

import pytest

ENGINE = [
    pytest.mark.vllm,
    *(
        pytest.mark.filterwarnings(rf"ignore::{kind}:{module}(\.|$)")
        for kind in ("DeprecationWarning", "FutureWarning", "UserWarning")
        for module in ("torch", "vllm")
    ),
]
