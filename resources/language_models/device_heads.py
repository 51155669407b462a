"""The most likely tokens of each row, found where the logits are, so that only these travel to the CPU."""

import torch

from calib_assets.decoding.heads import Heads


@torch.inference_mode()
def leading_on_device(logits: torch.Tensor, ranks: int) -> Heads:
    """``Heads.of(logits, ranks)`` in torch: the same tokens and values, ``log_norm`` to rounding.

    Args:
        logits: ``[rows, vocab]`` on any device, in any precision (widened exactly).
        ranks: 1 or more.
    """
    logits = logits.float()
    n_rows, vocab = logits.shape
    top = logits.amax(dim=1)  # NaN if there is one
    least = torch.topk(logits, min(ranks, vocab), dim=1).values[:, -1:]
    row, token = ((logits >= least) & (logits > -torch.inf)).nonzero(as_tuple=True)  # row by row, ascending ids
    counts = torch.bincount(row, minlength=n_rows)
    width = max(min(ranks, vocab), int(counts.max()))
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    ids = torch.zeros(n_rows, width, dtype=torch.int64, device=row.device)
    values = torch.full((n_rows, width), -torch.inf, device=row.device)
    ids[row, place] = token
    values[row, place] = logits[row, token]
    norms = [block.double().logsumexp(dim=1) for block in logits.split(16)]
    return Heads(*(part.cpu().numpy() for part in (ids, values, top, torch.cat(norms))))
