"""`placement.crossSite` to what a job over several sites declares; what stands against it is named by field."""

from polyhull.api.results import Findings
from polyhull.api.v1alpha1.training import CrossSite, Placement, SpannedModel, TrainingJobSpec
from polyhull.domain.workloads import Span, SpanMode

FIELD = "spec.placement.crossSite"
GRADIENT_BYTES = 2
"""Per parameter: gradients are sent in 16 bits."""
STATE_BYTES = 16
"""Per parameter: weights and gradients in 16 bits, Adam's two moments and a master copy in 32 (Rajbhandari et al.,
"ZeRO", 2020, section 3.1)."""
_NEEDED = {
    SpanMode.PIPELINE: ("layers", "samples_per_step", "activation_bytes_per_sample"),
    SpanMode.DATA_PARALLEL: (),
}


def span_of(spec: TrainingJobSpec, found: Findings) -> Span | None:
    """None for a job at one site. Raises nothing: what is wrong is among the findings."""
    told = spec.placement.cross_site if spec.placement is not None else None
    if told is None:
        return None
    if told.mode == "Never":
        if told != CrossSite():
            found.invalid(FIELD, "mode Never takes no other field", "leave them out, or write another mode")
        return None
    mode, model = SpanMode(told.mode), told.model or SpannedModel()
    _check(told, mode, model, found)
    _check_job(spec, found)
    parameters = found.whole(f"{FIELD}.model.parameters", model.parameters)
    gradient = found.whole(f"{FIELD}.model.gradientBytes", model.gradient_bytes)
    state = found.whole(f"{FIELD}.model.stateBytes", model.state_bytes)
    if told.max_sites == 1:
        return None
    return Span(
        mode=mode,
        max_sites=told.max_sites or 2,
        synchronize_steps=told.synchronize_steps or 1,
        work_per_step=found.decimal(told.work_per_step) if told.work_per_step is not None else 1.0,
        samples_per_step=model.samples_per_step or 1,
        layers=model.layers or 1,
        activation_bytes=float(
            found.whole(f"{FIELD}.model.activationBytesPerSample", model.activation_bytes_per_sample)
        ),
        gradient_bytes=float(gradient or GRADIENT_BYTES * parameters),
        state_bytes=float(state or STATE_BYTES * parameters),
    )


def refuse_span(placement: Placement | None, found: Findings) -> None:
    """For kinds that run at one site."""
    told = placement.cross_site if placement is not None else None
    if told is not None and told != CrossSite():
        found.refuse(FIELD, "only a TrainingJob may span sites; write mode: Never, or leave it out")


def _check(told: CrossSite, mode: SpanMode, model: SpannedModel, found: Findings) -> None:
    """The figures its mode needs: without them nobody can say what distance costs."""
    for name in _NEEDED[mode]:
        if not getattr(model, name):
            alias = SpannedModel.model_fields[name].alias
            found.invalid(f"{FIELD}.model.{alias}", f"is missing or zero, and mode {mode} sends by it", "write it")
    if mode is SpanMode.DATA_PARALLEL and not (model.gradient_bytes or model.parameters):
        problem = f"is missing or zero, and mode {mode} sends by it"
        found.invalid(f"{FIELD}.model.gradientBytes", problem, "write it, or model.parameters")
    if mode is SpanMode.PIPELINE and told.synchronize_steps is not None:
        remedy = "leave it out, or write mode: DataParallel"
        found.invalid(f"{FIELD}.synchronizeSteps", "is how often gradients are exchanged", remedy)


def _check_job(spec: TrainingJobSpec, found: Findings) -> None:
    """What else of the job stands against several sites."""
    if all(option.replicas < 2 for option in spec.options):
        problem = "no option has more than one replica, and a replica is at one site"
        found.invalid(FIELD, problem, "give an option more replicas, or write mode: Never")
    for index, entry in enumerate(spec.data or ()):
        if entry.access == "Stream":
            remedy = "write access: Stage, or crossSite mode: Never"
            found.refuse(f"spec.data[{index}].access", f"a job over several sites reads staged data only; {remedy}")
