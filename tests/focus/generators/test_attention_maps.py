"""Attention and rollout against their formulas."""

from __future__ import annotations

import torch

from focus.generators.attention_maps import Attention, Rollout
from tests.focus.generators.explained_networks import VIT_OPTIONS, predict, stretch


def attention_by_hand(vit, images):
    """Return every block's attention, the mean of its heads (L, B, T, T), from its qkv layer."""
    found = []
    tokens = vit.norm_pre(vit._pos_embed(vit.patch_embed(images)))
    for block in vit.blocks:
        states = block.norm1(tokens)
        dim = states.shape[-1] // 2  # of a head
        query, key, _ = block.attn.qkv(states).chunk(3, dim=-1)
        heads = []
        for head in range(2):
            part = slice(head * dim, (head + 1) * dim)
            products = query[..., part] @ key[..., part].transpose(1, 2)
            heads.append((products / dim**0.5).softmax(dim=-1))
        found.append(torch.stack(heads).mean(dim=0))
        tokens = block(tokens)
    return torch.stack(found)


@torch.no_grad()
def test_attention_is_the_last_blocks_class_row(vit, vit_file, images):
    row = attention_by_hand(vit, images)[-1, :, 0, 1:].view(4, 4, 4)
    prediction = predict(Attention.load(vit_file, VIT_OPTIONS), images)
    torch.testing.assert_close(prediction.parts["cam"], row)
    expected = stretch(row) * vit(images).softmax(dim=1)[:, 1, None, None]
    torch.testing.assert_close(prediction.maps[:, 0], expected, rtol=1e-3, atol=1e-5)


@torch.no_grad()
def test_rollout_is_the_product_over_blocks(vit, vit_file, images):
    rolled = []
    for face in range(4):
        flow = torch.eye(17)
        for layer in attention_by_hand(vit, images)[:, face]:
            flow = (0.5 * layer + 0.5 * torch.eye(17)) @ flow
        rolled.append(flow[0, 1:].view(4, 4))
    prediction = predict(Rollout.load(vit_file, VIT_OPTIONS), images)
    torch.testing.assert_close(prediction.parts["cam"], torch.stack(rolled))


def test_an_earlier_blocks_attention(vit, vit_file, images):
    generator = Attention.load(vit_file, {**VIT_OPTIONS, "layer": "blocks.2.attn"})
    with torch.no_grad():
        row = attention_by_hand(vit, images)[2, :, 0, 1:].view(4, 4, 4)
    torch.testing.assert_close(predict(generator, images).parts["cam"], row)
