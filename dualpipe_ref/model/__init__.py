"""A small DeepSeek-style mixture-of-experts decoder, cut into stages, and each layer into four parts.

Needs torch. Shapes are written with these letters: B sequences of a micro-batch, S tokens of a sequence, T = B S,
H hidden size, A attention heads, D size of a head, E experts, K experts of a token, F hidden size of an expert,
V vocabulary.
"""

from dualpipe_ref.model.config import ModelConfig
from dualpipe_ref.model.layer import Layer
from dualpipe_ref.model.stage import Stage, layers_of_stages

__all__ = ["Layer", "ModelConfig", "Stage", "layers_of_stages"]
