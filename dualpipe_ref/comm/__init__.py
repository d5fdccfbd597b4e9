"""Expert-parallel all-to-all: which token goes to which expert, and so over which link.

All but `topology` and `protocol` needs torch. Shapes are written with these letters everywhere:

T tokens of a rank, E experts, K experts of a token, R ranks, N nodes, L GPUs of a node (R = N L), H hidden size.
"""
