"""The kernels: their PTX, what they take of a GPU, and what their source may hold."""
