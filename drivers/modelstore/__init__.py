"""Model files: which file a reference means, where it lies on this host, and how it gets here.

`ModelStore` (in `store`) is what a driver uses; `parse_reference` (in `reference`) is light enough for every start.
"""
