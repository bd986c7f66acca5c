"""Sources: where labelled videos come from. A source lists its videos; it opens none."""
