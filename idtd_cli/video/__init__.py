"""Video files: choosing frames, decoding in guarded workers, encoding. Numpy arrays in, numpy arrays out."""
