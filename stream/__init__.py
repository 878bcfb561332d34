"""The dataflow: blocks of one log partition through decode, load, fold, infer, track, require and commit."""
