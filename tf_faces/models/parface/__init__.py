"""Networks of ParFace: encoder, decoder, two discriminators, two landmark heads."""
