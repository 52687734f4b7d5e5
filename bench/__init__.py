"""Measurements of the product against a floor or a peer; see docs/performance.md."""
