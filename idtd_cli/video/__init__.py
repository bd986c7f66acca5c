"""Video files: choosing frames, decoding, encoding. Numpy arrays in, numpy arrays out."""
