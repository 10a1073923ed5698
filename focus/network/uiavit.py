"""UIA-ViT: a ViT whose attention between patches learns which of them are forged, unsupervised.

W. Zhuang et al., "UIA-ViT: Unsupervised Inconsistency-Aware Method Based on Vision Transformer for
Face Forgery Detection", ECCV 2022. Written from a description of the method; no code of its authors
is used. 85.8 M parameters at the defaults (85,801,733).

Deviations, and choices where the description is silent:

* the LayerNorm of the middle block's patches has no weights of its own: they only feed the
  Gaussians, from which no gradient returns;
* the Gaussians are fitted to running sums (mean, covariance and what Ledoit-Wolf's shrinkage
  needs), not to stored features: the same numbers in constant memory. The sums start anew after
  each fit; a class that was not seen keeps its Gaussian, and L_corr waits until both are there;
* the class-token attention and the patch-to-patch attention are both the sigmoid of the mean over
  heads and blocks; L_corr keeps the diagonal of fakes, as c_in or c_out;
* a face is judged with the same blend of uniform and attended patches that training has reached,
  not with attention alone, so that a short run is judged as it was trained;
* an epoch is an eighth of the run: in the paper's, 57,600 fakes (720 videos of four methods, 20
  frames each) and as many real faces in batches of 96 give 1,200 steps;
* the rate is constant: the paper's plateau schedule, with a patience of 10 epochs, cannot act in 8.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from focus.backbones import create_backbone
from focus.config import check_choices, check_options
from focus.detectors import Trainable
from focus.errors import InputError
from focus.network.maps import minmax
from focus.optim import OptimizerConfig
from focus.types import FAKE, REAL, Batch, InputSpec, Prediction

Map = Literal["attention", "location"]
EPOCHS, FITS_PER_EPOCH = 8, 2
FACES_PER_CLASS = 4
BLOCKS = 5  # the last ones, whose queries and keys are averaged
VARIANCE_FLOOR = 1e-6  # of patches whose channels have variance 1: identical ones do not stop a run
RAMP_SLOPE, RAMP_MIDDLE = 12.0, 0.7
CORRELATION_WEIGHT, CROSS_WEIGHT, WITHIN_WEIGHT = 0.06, 0.5, 0.05
CROSS, INSIDE, OUTSIDE = 0.2, 0.6, 0.6  # where the centres start


@dataclass(frozen=True)
class UiaVitConfig:
    """The network, its schedule and its map; the defaults are the paper's."""

    encoder: str = "vit_base_patch16_224"
    """A plain ViT of timm with one class token and at least six blocks."""
    encoder_weights: str = "timm"
    """A file (safetensors or a tensors-only .pth), 'timm' to download, or 'none'."""
    image_size: int = 224
    """Side of the square input in pixels."""
    map: Map = "attention"
    """Class-token attention, or location: how much nearer a patch is to fakes than to real ones."""
    ramp_steps: int = 0
    """Steps over which patches go from equal weights to attended ones, the paper's 8 epochs; 0: as
    many as the run has."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_options(self, "image_size", least=32)
        check_options(self, "ramp_steps", least=0)


class Output(NamedTuple):
    """All that the network says of a batch."""

    logits: Tensor  # (B, 2): real, fake
    attention: Tensor  # (B, N) in (0, 1): of the class token to the patches
    queries: Tensor  # (B, 1 + N, E) of the last blocks, scaled so that a product with a key is
    keys: Tensor  # the mean over blocks and heads; the class token first, float32
    patches: Tensor  # (B, N, D): the middle block's patches, normalised, without gradient


class UiaVit(Trainable):
    """Inconsistency-aware ViT; its map is the class token's attention to the patches.

    Images come in as (B, 3, H, W), standardised to mean 0.5 and deviation 0.5.

    Raises:
        InputError: an encoder that cannot be built or is no plain ViT, or weights that do not fit.
    """

    draws_untaught = True
    optimizer = OptimizerConfig(optimizer="adam", lr=3e-5, schedule="constant")
    steps = 9600
    batch = 96
    step: Tensor
    ramp: Tensor

    def __init__(self, config: UiaVitConfig = UiaVitConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_spec = InputSpec(config.image_size, mean=(0.5,) * 3, std=(0.5,) * 3)
        self.encoder: Any = _create_vit(config)
        self.grid: tuple[int, int] = self.encoder.patch_embed.grid_size
        width = self.encoder.embed_dim
        self.gaussians = PatchGaussians(width, self.grid)
        self.centres = nn.Parameter(torch.tensor([CROSS, INSIDE, OUTSIDE]))
        self.classifier = nn.Linear(2 * width, 2)
        self.register_buffer("step", torch.zeros((), dtype=torch.long))
        self.register_buffer("ramp", torch.tensor(config.ramp_steps or self.steps))

    def begin(self, steps: int) -> None:
        """Spread the ramp over the run, unless the configuration says how long it is."""
        if not self.config.ramp_steps:
            self.ramp.fill_(steps)

    def forward(self, images: Tensor) -> Output:
        """Return logits, attention and middle patches of images (B, 3, H, W)."""
        blocks = self.encoder.blocks
        with _watch([block.attn for block in blocks[-BLOCKS:]]) as seen:
            tokens, (middle,) = self.encoder.forward_intermediates(
                images, indices=[len(blocks) // 2 - 1], output_fmt="NLC"
            )
        queries, keys = _join_heads([block.attn for block in blocks[-BLOCKS:]], seen)
        attention = _attend(queries[:, :1], keys[:, 1:])[:, 0]  # (B, N)
        uniform = uniform_share(self.step / self.ramp)
        weights = uniform + (1 - uniform) * attention
        pooled = (weights[..., None] * tokens[:, 1:]).mean(dim=1)  # (B, D)
        logits = self.classifier(torch.cat([tokens[:, 0], pooled.to(tokens.dtype)], dim=1))
        patches = F.layer_norm(middle.detach().float(), middle.shape[-1:])
        return Output(logits.float(), attention, queries, keys, patches)

    def loss(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return cross-entropy, L_corr (0 in the first epoch), and what keeps centres apart."""
        output = self(batch.images)
        epoch = self.ramp // EPOCHS
        active = (self.step >= epoch) * self.gaussians.fitted.prod()
        forged = self.gaussians.locate(output.patches) > 0
        forged &= (batch.labels == FAKE)[:, None]
        attention = _attend(output.queries[:, 1:], output.keys[:, 1:])  # (B, N, N)
        correlation = correlation_loss(attention, forged, batch.labels, self.centres)
        cross, inside, outside = self.centres.abs()
        if self.training:
            self._observe(output.patches, batch.labels)
        return {
            "classification": F.cross_entropy(output.logits, batch.labels),
            "correlation": CORRELATION_WEIGHT * active * correlation,
            "centres": CROSS_WEIGHT * cross + WITHIN_WEIGHT / inside + WITHIN_WEIGHT / outside,
        }

    def _observe(self, patches: Tensor, labels: Tensor) -> None:
        """Count the step, add its patches to the sums, and fit the Gaussians when it is time."""
        self.gaussians.add(patches, labels)
        self.step.add_(1)
        if self.step % (self.ramp // (EPOCHS * FITS_PER_EPOCH)).clamp_min(1) == 0:
            self.gaussians.fit()

    def predict(self, images: Tensor) -> Prediction:
        """Return P(fake), the map in [0, 1] times P(fake), and the map as it was."""
        output = self(images)
        scores = output.logits.softmax(dim=1)[:, FAKE]
        if self.config.map == "attention":
            raw = output.attention
        else:
            raw = self.gaussians.locate(output.patches)
        raw = raw.view(-1, 1, *self.grid)
        return Prediction(scores, minmax(raw) * scores[:, None, None, None], {"raw": raw})


class PatchGaussians(nn.Module):
    """One Gaussian of real patches and one of forged ones, fitted to running sums.

    Real patches are all those of real faces, forged ones the inner ones of fakes (rows and columns
    3 to 10 of 14).

    Attributes:
        fitted: (2,): 1 where a Gaussian was fitted yet, real and fake.
    """

    count: Tensor
    total: Tensor
    products: Tensor
    cubes: Tensor
    fourths: Tensor
    mean: Tensor
    whitening: Tensor
    fitted: Tensor
    inner: Tensor

    def __init__(self, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        shapes = {
            "count": (2,),  # n of each class, then sums over its patches x:
            "total": (2, width),  # x
            "products": (2, width, width),  # x x^T
            "cubes": (2, width),  # |x|^2 x
            "fourths": (2,),  # |x|^4
            "mean": (2, width),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape))
        self.register_buffer("whitening", torch.eye(width).repeat(2, 1, 1))
        self.register_buffer("fitted", torch.zeros(2))
        inner = torch.zeros(grid)
        top, left = (round(side * 3 / 14) for side in grid)
        inner[top : grid[0] - top, left : grid[1] - left] = 1
        self.register_buffer("inner", inner.flatten(), persistent=False)

    @torch.no_grad()
    def add(self, patches: Tensor, labels: Tensor) -> None:
        """Add the patches (B, N, D), float32, of the first four faces of each class to the sums."""
        for label in (REAL, FAKE):
            mine = labels == label
            first = mine.int().sort(descending=True, stable=True).indices[:FACES_PER_CLASS]
            weights = mine[first].float()[:, None] * (self.inner if label == FAKE else 1)
            weights = weights.expand(-1, patches.shape[1]).flatten()  # (faces * N,): 0 or 1
            values = patches[first].flatten(0, 1)  # (faces * N, D)
            with torch.autocast(values.device.type, enabled=False):
                weighted = values * weights[:, None]
                squares = values.square().sum(dim=1)
                self.count[label] += weights.sum()
                self.total[label] += weighted.sum(dim=0)
                self.products[label] += weighted.T @ values
                self.cubes[label] += squares @ weighted
                self.fourths[label] += weights @ squares.square()

    @torch.no_grad()
    def fit(self) -> None:
        """Fit each Gaussian that has patches, and start the sums anew."""
        sums = (self.count, self.total, self.products, self.cubes, self.fourths)
        # In float64 on the CPU, where every machine has it: normalised patches lie in a plane, so
        # that the shrinkage alone makes the covariance invertible.
        known = [values.cpu().double() for values in sums]
        for label in (REAL, FAKE):
            if known[0][label] > 1:
                mean, covariance = ledoit_wolf(*(values[label] for values in known))
                self.mean[label] = mean.to(self.mean)
                covariance += VARIANCE_FLOOR * torch.eye(len(mean), dtype=mean.dtype)
                factor = torch.linalg.inv(torch.linalg.cholesky(covariance))
                self.whitening[label] = factor.to(self.whitening)
                self.fitted[label] = 1
        for values in sums:
            values.zero_()

    @torch.no_grad()
    def locate(self, patches: Tensor) -> Tensor:
        """Return relu(d_real - d_fake) (B, N), Mahalanobis distances of patches (B, N, D)."""
        real, fake = (self._distance(patches, label) for label in (REAL, FAKE))
        return (real - fake).clamp_min(0) * self.fitted.prod()

    def _distance(self, patches: Tensor, label: int) -> Tensor:
        with torch.autocast(patches.device.type, enabled=False):
            # The precision itself would square the rounding errors of a matrix product.
            offset = (patches - self.mean[label]) @ self.whitening[label].T
            return torch.linalg.vector_norm(offset, dim=-1)


def ledoit_wolf(
    count: Tensor, total: Tensor, products: Tensor, cubes: Tensor, fourths: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean (D,) and shrunk covariance (D, D) of n samples x, known by their sums alone.

    Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.

    Args:
        count: n.
        total: sum of x (D,).
        products: sum of x x^T (D, D).
        cubes: sum of |x|^2 x (D,).
        fourths: sum of |x|^4.
    """
    mean, size = total / count, len(total)
    covariance = products / count - torch.outer(mean, mean)
    scale, length = covariance.trace() / size, mean @ mean
    # Mean of |x - mean|^4, expanded: |x|^2, x . mean and |mean|^2 in all their products.
    spread = fourths / count + 4 * mean @ (products / count) @ mean
    spread += 2 * length * products.trace() / count - 4 * mean @ cubes / count - 3 * length**2
    squared = covariance.square().sum()
    distance = squared - size * scale**2
    error = ((spread - squared) / count).clamp(torch.zeros_like(distance), distance)
    share = torch.where(distance > 0, error / distance, 0)
    identity = torch.eye(size, dtype=covariance.dtype)
    return mean, (1 - share) * covariance + share * scale * identity


def correlation_loss(attention: Tensor, forged: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Return L_corr: how far attention between patches is from what their kinds ask for.

    Args:
        attention: (B, N, N) in [0, 1].
        forged: bool (B, N), which patches of fakes are taken for forged; False on real faces.
        labels: int64 (B,).
        centres: (3,): what pairs of different kind, forged pairs and genuine pairs should have;
            a real face's patch and itself should have 1.
    """
    cross, inside, outside = centres
    first, second = forged[:, :, None], forged[:, None, :]
    target = torch.where(first & second, inside, torch.where(first | second, cross, outside))
    itself = torch.eye(forged.shape[1], dtype=torch.bool, device=forged.device)
    target = torch.where(itself & (labels == REAL)[:, None, None], 1, target)
    pairs = forged.shape[1] * (forged.shape[1] - 1)
    return (attention - target).abs().sum(dim=(1, 2)).mean() / pairs


def uniform_share(progress: Tensor) -> Tensor:
    """Return the weight of equal patches at a share of the training: 1 for an eighth, then less."""
    falling = torch.sigmoid(-RAMP_SLOPE * (progress - RAMP_MIDDLE))
    return torch.where(progress < 1 / EPOCHS, 1, falling)


def _join_heads(attentions: list[Any], seen: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return queries and keys (B, 1 + N, E) whose products are means over blocks and heads.

    The sum over heads of their products is the product of all channels at once.
    """
    queries, keys = [], []
    for attention, values in zip(attentions, seen, strict=True):
        query, key, _ = values.unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
        share = attention.scale / (attention.num_heads * len(attentions))
        queries.append(attention.q_norm(query).flatten(2).float() * share)
        keys.append(attention.k_norm(key).flatten(2).float())
    return torch.cat(queries, dim=-1), torch.cat(keys, dim=-1)


def _attend(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the sigmoid of the products of queries (B, M, E) and keys (B, N, E): (B, M, N)."""
    with torch.autocast(queries.device.type, enabled=False):
        return (queries @ keys.transpose(1, 2)).sigmoid()


@contextmanager
def _watch(attentions: list[Any]) -> Iterator[list[Tensor]]:
    """Yield a list that fills with each attention's queries, keys and values (B, 1 + N, 3 D)."""
    seen: list[Tensor] = []
    hooks = [
        attention.qkv.register_forward_hook(lambda _, __, output: seen.append(output))
        for attention in attentions
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _create_vit(config: UiaVitConfig) -> Any:
    encoder = create_backbone(
        config.encoder, config.encoder_weights, num_classes=0, img_size=config.image_size
    )
    attentions = [getattr(block, "attn", None) for block in getattr(encoder, "blocks", ())]
    plain = all(isinstance(getattr(attention, "qkv", None), nn.Linear) for attention in attentions)
    if not plain or len(attentions) <= BLOCKS or encoder.num_prefix_tokens != 1:
        raise InputError(
            f"--options encoder={config.encoder}: needs a plain ViT with a class token"
        )
    return encoder
