"""The numbers that combine and unpermute add, and the module of device functions that adds them."""

from __future__ import annotations

import torch

from dualpipe_ref.comm.kernels import bfloat16, float32

ELEMENTS = {torch.float32: float32, torch.bfloat16: bfloat16}
