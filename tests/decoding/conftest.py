"""Slow oracles of the decoding tests: the definitions in plain Python, and transformers' warpers.

They share no line with ``calib_assets.decoding``; tests get them as fixtures.
"""

import functools
import itertools
import math
from types import SimpleNamespace
from unittest import mock

import mpmath
import numpy as np
import pytest
import torch
from transformers.generation import logits_process as warpers

torch.set_num_threads(1)

WARPERS = {
    "top_k": lambda k: warpers.TopKLogitsWarper(int(k)),
    "top_p": warpers.TopPLogitsWarper,
    "min_p": warpers.MinPLogitsWarper,
    "typical_p": warpers.TypicalLogitsWarper,
    "epsilon": warpers.EpsilonLogitsWarper,
    "eta": warpers.EtaLogitsWarper,
    "top_h": warpers.TopHLogitsWarper,
}


def warp(name, parameter, logits, temperature, stable=True):
    """Retained mask and filtered probabilities by transformers: temperature, then the warper, then softmax,
    in float64.

    ``torch.sort`` leaves the order of ties open beyond 16 elements; ``stable`` makes the warper's sort the
    stable one.
    """
    scores = torch.from_numpy(np.array(logits, np.float64))[None]
    scores = warpers.TemperatureLogitsWarper(float(temperature))(None, scores)
    with mock.patch("torch.sort", functools.partial(torch.sort, stable=stable)):
        scores = WARPERS[name](parameter)(None, scores)
    return torch.isfinite(scores)[0].numpy(), torch.softmax(scores, dim=-1)[0].numpy()


def boundary_margin(name, parameter, logits, temperature):
    """Distance of the rule's statistic from its threshold in 60-digit arithmetic: how decidable a set is."""
    with mpmath.workdps(60):
        exact = [mpmath.mpf(float(value)) / mpmath.mpf(float(temperature)) for value in logits]
        weights = [mpmath.e ** (value - max(exact)) for value in exact]
        probs = sorted((weight / sum(weights) for weight in weights), reverse=True)
        entropy = -sum(p * mpmath.log(p) for p in probs)
        if name == "top_p":
            gaps = [abs(sum(probs[k:]) - (1 - mpmath.mpf(parameter))) for k in range(len(probs))]
        elif name == "min_p":
            gaps = [abs(p - mpmath.mpf(parameter) * probs[0]) for p in probs]
        elif name == "epsilon":
            gaps = [abs(p - mpmath.mpf(parameter)) for p in probs]
        elif name == "eta":
            eps = mpmath.mpf(float(np.float32(parameter)))
            eta = min(eps, mpmath.sqrt(eps) * mpmath.e ** (-entropy))
            gaps = [abs(p - eta) for p in probs]
        elif name == "typical_p":
            deviations = sorted((abs(-mpmath.log(p) - entropy), p) for p in probs)
            running = itertools.accumulate(p for _, p in deviations)
            gaps = [abs(mass - mpmath.mpf(parameter)) for mass in running]
            gaps += [b - a for (a, _), (b, _) in itertools.pairwise(deviations) if b > a]
        elif name == "top_h":
            top = [p / sum(probs[:100]) for p in probs[:100]]
            running = list(itertools.accumulate(-p * mpmath.log(p) for p in top))
            gaps = [abs(total - mpmath.mpf(parameter) * running[-1]) for total in running]
        else:
            gaps = [mpmath.inf]
        return float(min(gaps))


def retained_by_definition(name, parameter, logits, temperature, valid=()):
    """The retained set as a set of token ids, token by token from the definition."""
    logits = [float(value) for value in logits]
    support = [v for v, value in enumerate(logits) if value > -math.inf]
    ranking = sorted(support, key=lambda v: (-logits[v], v))
    top = max(logits)
    weight = {v: math.exp((logits[v] - top) / temperature) for v in support}
    p = {v: weight[v] / math.fsum(weight.values()) for v in support}
    entropy = -math.fsum(x * math.log(x) for x in p.values() if x > 0)
    if name == "unrestricted":
        return set(support)
    if name == "top_k":
        kth = logits[ranking[min(parameter, len(ranking)) - 1]]
        return {v for v in support if logits[v] >= kth}
    if name == "top_k_exact":
        return set(ranking[:parameter])
    if name == "top_p_canopy":  # apply_top_p of the released pipeline: marks where the mass exceeds p, shifted by one
        exceeds = [mass > parameter for mass in itertools.accumulate(p[v] for v in ranking)]
        return {v for v, removed in zip(ranking, [False, *exceeds[:-1]]) if not removed or parameter == 1}
    if name == "top_p":
        kept, ranking = set(), sorted(support, key=lambda v: (-logits[v], -v))
        while math.fsum(p[v] for v in kept) < parameter and len(kept) < len(ranking):
            kept.add(ranking[len(kept)])
        return kept
    if name == "min_p":
        return {v for v in support if p[v] >= parameter * max(p.values())}
    if name in ("epsilon", "eta"):
        floor = parameter if name == "epsilon" else min(parameter, math.sqrt(parameter) * math.exp(-entropy))
        return {v for v in support if p[v] >= floor or logits[v] == top}
    if name == "typical_p":
        log_norm = math.log(math.fsum(weight.values()))
        deviation = {v: abs(-(logits[v] - top) / temperature + log_norm - entropy) for v in support}
        for radius in sorted(set(deviation.values())):
            kept = {v for v in support if deviation[v] <= radius}
            if math.fsum(p[v] for v in kept) >= parameter:
                return kept
        return set(support)
    if name == "top_n_sigma":
        values = [logits[v] for v in support]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((x - mean) ** 2 for x in values) / max(len(values) - 1, 1)
        return {v for v in support if logits[v] >= top - parameter * math.sqrt(variance)}
    if name in ("top_h", "top_h_authors"):
        ranking = ranking[:100]
        kept = set()
        for j in range(1, len(ranking) + 1):
            if name == "top_h":
                total = math.fsum(p[v] for v in ranking)
                terms = [-(p[v] / total) * math.log(p[v] / total) for v in ranking]
                within = math.fsum(terms[:j]) <= parameter * math.fsum(terms)
            else:
                total = math.fsum(p[v] for v in ranking[:j])
                within = (
                    -math.fsum(p[v] / total * math.log(p[v] / total) for v in ranking[:j])
                    <= parameter * entropy
                )
            if j > 1 and not within:
                break
            kept.add(ranking[j - 1])
        return kept
    if name == "oracle_cutoff":
        return set(ranking[: len(set(valid))])
    if name == "validity_oracle":
        return set(valid) & set(support)
    raise AssertionError(f"no definition of {name}; write one here beside the new rule")


def enumerate_configuration(sequences, answers, row_of_prefix, logits, name, parameter, temperature):
    """Val, Div, Prec_seq, Rec_seq and the E.1 factors by walking through every token sequence."""
    vocab = len(logits[0])
    spelled = dict(zip(map(tuple, sequences), answers, strict=True))
    valid_prefixes = {sequence[:t] for sequence in spelled for t in range(len(sequence) + 1)}
    depth = max(map(len, spelled))

    def n_through(prefix):
        return sum(sequence[: len(prefix)] == prefix for sequence in spelled)

    def step(prefix):
        """(conditional after the filter, retained set, G) at a valid prefix."""
        row = logits[row_of_prefix[prefix]]
        good = {v for v in range(vocab) if (*prefix, v) in valid_prefixes}
        kept = retained_by_definition(name, parameter, row, temperature, good)
        weights = {v: math.exp((row[v] - max(row)) / temperature) for v in kept}
        total = math.fsum(weights.values())
        return {v: w / total for v, w in weights.items()}, kept, good

    # Every sequence over the vocabulary, until it is complete or has left the valid prefixes.
    probability, uniform, invalid = {}, {}, 0.0
    frontier = {(): (1.0, 1.0)}
    alpha_top, alpha_bottom = [0.0] * depth, [0.0] * depth
    for t in range(depth):
        following = {}
        for prefix, (p, q) in frontier.items():
            if prefix in spelled:
                alpha_top[t] += q
                alpha_bottom[t] += q
                following[prefix] = (p, q)
                continue
            conditional, kept, good = step(prefix)
            alpha_top[t] += q * len(kept & good) / max(len(kept), 1)
            alpha_bottom[t] += q
            for v in kept:
                longer = (*prefix, v)
                if longer in valid_prefixes:
                    following[longer] = (p * conditional[v], q / len(kept))
                else:
                    invalid += p * conditional[v]
        frontier = following
    probability = {y: frontier[y][0] for y in spelled if y in frontier}
    uniform = {y: frontier[y][1] for y in spelled if y in frontier}

    beta_top, beta_bottom = [0.0] * depth, [0.0] * depth
    survivors = set(spelled)
    for t in range(depth):
        for y in sorted(survivors):
            beta_bottom[t] += 1
            if len(y) <= t:
                beta_top[t] += 1
                continue
            _, kept, good = step(y[:t])
            beta_top[t] += sum(n_through((*y[:t], v)) for v in kept & good) / n_through(y[:t])
        survivors = {y for y in survivors if len(y) <= t or y[t] in step(y[:t])[1]}

    validity = math.fsum(probability.values())
    by_answer = {}
    for y, p in probability.items():
        by_answer[spelled[y]] = by_answer.get(spelled[y], 0.0) + p
    diversity = None
    if validity > 0:
        entropy = -math.fsum(p / validity * math.log(p / validity) for p in by_answer.values() if p > 0)
        diversity = math.exp(entropy) / len(set(answers))
    return SimpleNamespace(
        validity=validity,
        invalid=invalid,
        diversity=diversity,
        sequence_precision=math.fsum(uniform.values()),
        sequence_recall=len(survivors) / len(spelled),
        alpha=[a / b if b else None for a, b in zip(alpha_top, alpha_bottom, strict=True)],
        beta=[a / b if b else None for a, b in zip(beta_top, beta_bottom, strict=True)],
    )


@pytest.fixture(scope="session")
def oracle():
    """The slow oracles by name."""
    return SimpleNamespace(
        warp=warp,
        warped_rules=tuple(WARPERS),
        boundary_margin=boundary_margin,
        retained_by_definition=retained_by_definition,
        enumerate_configuration=enumerate_configuration,
    )
