import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from calib_assets.decoding import PrefixTrie
from resources.language_models.packing import depth_first_rows, plan_packs


@st.composite
def trees(draw):
    """Parent arrays in which a parent precedes its children, and a set of wanted nodes."""
    n = draw(st.integers(1, 40))
    parent = np.array([-1] + [draw(st.integers(0, i - 1)) for i in range(1, n)])
    wanted = draw(st.lists(st.integers(0, n - 1), unique=True, min_size=1))
    return parent, np.array(wanted)


def ancestors(parent, node):
    found = {node}
    while parent[node] >= 0:
        node = int(parent[node])
        found.add(node)
    return found


@settings(deadline=None)
@given(trees(), st.integers(1, 12), st.integers(1, 5))
def test_packs_compute_every_wanted_node_once_and_hold_all_that_it_sees(tree, pack_nodes, max_rows):
    parent, wanted = tree
    depth_of = [len(ancestors(parent, node)) - 1 for node in range(len(parent))]
    kept = []
    for pack in plan_packs(parent, wanted, pack_nodes, max_rows):
        assert 0 not in pack.nodes and len(pack.keep) <= max_rows
        assert len(pack.nodes) <= pack_nodes + max(depth_of)
        for i, node in enumerate(pack.nodes):
            # the mask row is exactly the ancestor relation: nothing missing from the pack, no cousin visible
            assert {int(other) for other in pack.nodes[pack.sees[i]]} == ancestors(parent, int(node)) - {0}
            assert pack.depth[i] == depth_of[node]
        assert wanted[pack.index].tolist() == pack.nodes[pack.keep].tolist()
        kept += pack.nodes[pack.keep].tolist()
    assert sorted(kept) == sorted(set(wanted.tolist()) - {0})


def test_work_grows_with_prefixes_not_with_sequences():
    # 10^3 sequences of 3 tokens share 110 inner prefixes; 110 nodes in packs of 64 need one path more.
    trie = PrefixTrie.from_sequences([[a, b, c] for a in range(10) for b in range(10) for c in range(10)])
    packs = list(plan_packs(trie.parent, trie.internal, 64))
    assert sum(len(pack.nodes) for pack in packs) <= 110 + len(packs) * 2
    assert sum(len(pack.keep) for pack in packs) == 110


def test_depth_first_rows_is_a_preorder_of_all_rows():
    trie = PrefixTrie.from_sequences([[1, 1, 5], [1, 2, 5], [2, 1, 5], [2, 2, 5]])
    nodes = trie.internal[depth_first_rows(trie)]
    assert [trie.path(node) for node in nodes] == [[], [1], [1, 1], [1, 2], [2], [2, 1], [2, 2]]
