"""Side-by-side measurements: each prints ratios measured in one run and writes book/results/NAME.json."""
