"""Training: text, settings, processes, metrics. The parts import torch only where they compute."""
