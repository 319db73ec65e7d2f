"""What can be wrong with a trained model."""


class ModelUnusable(Exception):
    """A model file cannot be used; forecasts go on with the naive models."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"Forecast model {name}: {problem}")
        self.name = name
        self.problem = problem


class ModelFileMissing(ModelUnusable):
    """There is no such file."""


class ModelCorrupt(ModelUnusable):
    """The file is not what was written: hash, format or values are wrong."""


class ModelWrongShape(ModelUnusable):
    """The weights are those of another architecture; train again."""


class TooLittleHistory(ValueError):
    """There are not enough known samples to train on."""
