"""KIND/NAME as people type it: the names that kubectl takes."""

from polyhull.api.kinds import BY_NAME
from polyhull.domain.errors import InvalidInput

EXPLAINED = ("TrainingJob", "InferenceJob")
_NAMES = {
    word: kind.name
    for kind in (BY_NAME[name] for name in EXPLAINED)
    for word in (kind.singular, kind.plural, kind.short)
}


def kind_and_name(text: str) -> tuple[str, str]:
    """`trainingjob/resnet` as ("TrainingJob", "resnet"). Raises InvalidInput that says what to write."""
    kind, _, name = text.partition("/")
    exact = _NAMES.get(kind.lower().removesuffix(".polyhull.io"))
    if exact is None or not name:
        remedy = "write trainingjob/NAME or inferencejob/NAME"
        raise InvalidInput(text, "", "is not the KIND/NAME of something that is placed", remedy)
    return exact, name
