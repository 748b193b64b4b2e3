"""KIND/NAME as people type it."""

from polyhull.domain.errors import InvalidInput

_KINDS = {
    "trainingjob": "TrainingJob",
    "trainingjobs": "TrainingJob",
    "tj": "TrainingJob",
    "inferencejob": "InferenceJob",
    "inferencejobs": "InferenceJob",
    "ij": "InferenceJob",
}


def kind_and_name(text: str) -> tuple[str, str]:
    """`trainingjob/resnet` as ("TrainingJob", "resnet"). Raises InvalidInput that says what to write."""
    kind, _, name = text.partition("/")
    exact = _KINDS.get(kind.lower().removesuffix(".polyhull.io"))
    if exact is None or not name:
        remedy = "write trainingjob/NAME or inferencejob/NAME"
        raise InvalidInput(text, "", "is not the KIND/NAME of something that is placed", remedy)
    return exact, name
