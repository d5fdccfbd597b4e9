"""Exercise of chapter 12: roles of warps, proof of which SMs ran, and the number of SMs that pays."""
