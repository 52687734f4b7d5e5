"""The HTTP functions: one module per function, named as the edge function it replaces."""
