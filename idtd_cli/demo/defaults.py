"""Size of the demo set unless somebody asks for another: large enough to learn from, small enough for two cores."""

CLASSES = 8
TRAIN = 60
TEST = 30
SIZE = 64
FRAMES = 32
SEED = 0
