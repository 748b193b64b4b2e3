"""The whole exception tree. Infeasibility is an answer (`decision.Unplaced`), never an exception.

PolyhullError                 what, where, what to do next
├── InvalidInput              a field of an object somebody wrote; names file, object and field
├── BrokenPromise             a value reached the core that the border should have refused: our bug
├── SolverFailed              the solver crashed, timed out or answered nonsense
├── Unreachable               a cluster does not answer
└── Refused                   a cluster answered no (admission, quota, RBAC)
"""


class PolyhullError(Exception):
    """Base of every error Polyhull raises on purpose."""


class InvalidInput(PolyhullError):
    """A field somebody wrote cannot be used.

    `where` names file and object (`jobs.yaml: TrainingJob team-a/resnet`), `field` the path inside it
    (`spec.options[0].rate`), `problem` what is wrong and `remedy` what to write instead.
    """

    def __init__(self, where: str, field: str, problem: str, remedy: str, line: int | None = None) -> None:
        self.where, self.field, self.problem, self.remedy, self.line = where, field, problem, remedy, line
        file, colon, named = where.partition(": ")
        at = where if line is None else f"{file}:{line}{colon}{named}"
        super().__init__(f"{at}: {field}: {problem}; {remedy}" if field else f"{at}: {problem}; {remedy}")


class BrokenPromise(PolyhullError):
    """A value that parsing should have refused reached the core."""


class SolverFailed(PolyhullError):
    """A solver crashed, hung or returned numbers that are not a solution."""


class Unreachable(PolyhullError):
    """A cluster does not answer, or its credentials do not open it."""


class Refused(PolyhullError):
    """A cluster answered, and the answer was no. `status` is the HTTP code, `reason` the API's reason."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        self.status, self.reason, self.message = status, reason, message
        super().__init__(f"{status} {reason}: {message}")
