"""Strided convolutions that pad an odd side as TensorFlow pads an even one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class EvenSameConv2d(nn.Conv2d):
    """Strided convolution that always pads as TensorFlow pads an even side."""

    def forward(self, images: Tensor) -> Tensor:
        """Return the convolution; k - stride cells are added, the odd one at the far side."""
        extra = self.kernel_size[0] - self.stride[0]
        near, far = extra // 2, extra - extra // 2
        padded = F.pad(images, (near, far, near, far))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def pad_as_even(encoder: nn.Module) -> None:
    """Make every strided convolution pad as for even sides; weights are kept."""
    for name, module in list(encoder.named_modules()):
        if isinstance(module, nn.Conv2d) and module.stride[0] > 1:
            even = EvenSameConv2d(
                module.in_channels,
                module.out_channels,
                module.kernel_size[0],
                module.stride[0],
                groups=module.groups,
                bias=module.bias is not None,
            )
            even.weight, even.bias = module.weight, module.bias
            parent, _, child = name.rpartition(".")
            setattr(encoder.get_submodule(parent), child, even)
