"""Selection: by the spec alone, by the state of the cluster on arrival, or together with the batch at dispatch."""
