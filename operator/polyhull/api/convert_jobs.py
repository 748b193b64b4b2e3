"""Jobs and data sets to domain values. What is not acted on yet is refused here, by field."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from polyhull.api.convert_common import findings_for, model_of, selector
from polyhull.api.convert_span import refuse_span, span_of
from polyhull.api.estimate import Served, served, with_rates
from polyhull.api.moves import read_resume, stopping
from polyhull.api.podtemplate import grace_seconds, pod_requests, service_account
from polyhull.api.readback import read_exclusions, read_placed, read_promise
from polyhull.api.readback import read_serving as serving_of
from polyhull.api.results import Converted, Findings, created_at
from polyhull.api.v1alpha1.inference import InferenceJob, InferenceJobSpec, VariantSpec
from polyhull.api.v1alpha1.template import PodTemplate
from polyhull.api.v1alpha1.training import DataEntry, OptionSpec, Placement, TrainingJobSpec, Work
from polyhull.api.v1alpha1.training import TrainingJob as TrainingJobObject
from polyhull.domain.fleet import AcceleratorType, Evidence
from polyhull.domain.labels import Selector
from polyhull.domain.roofline import UnitWork
from polyhull.domain.workloads import (
    Access,
    Checkpoint,
    DataInput,
    Demand,
    InferenceService,
    Key,
    Option,
    Output,
    TrainingJob,
    Variant,
)

Raw = Mapping[str, Any]
LONGEST_SECONDS = 10 * 365 * 86_400.0
"""Ten years: an option that runs longer is a slip of the pen, and would drown every other number."""


def training_job(
    raw: Raw | TrainingJobObject,
    accelerators: Sequence[AcceleratorType] = (),
    *,
    default_priority: int = 0,
    file: str = "",
    strict: bool = False,
) -> Converted[TrainingJob]:
    """A TrainingJob. `accelerators` tell which options are of class CPU, where devicesPerReplica sets cpu."""
    job, failed = model_of(raw, TrainingJobObject, file, strict)
    if job is None:
        assert failed is not None
        return failed
    spec, found = job.spec, findings_for(job, file)
    key = Key(job.namespace, job.name, "TrainingJob")
    quantity = found.decimal(spec.work.quantity)
    inputs = tuple(_input(entry, index, job.namespace, found) for index, entry in enumerate(spec.data or ()))
    options = with_rates(
        [
            _option(entry, index, spec.template, _cpu_names(accelerators), found)
            for index, entry in enumerate(spec.options)
        ],
        _unit_work(spec.work, found),
        {kind.name: kind for kind in accelerators},
    )
    _check_lengths("options", options, quantity, found)
    mounts = {f"data[{index}]": entry.mount_path for index, entry in enumerate(spec.data or ())}
    kept = {"checkpoint": spec.checkpoint, "output": spec.output}
    mounts |= {name: told.mount_path for name, told in kept.items() if told is not None}
    _check_mounts(spec.template, mounts, found)
    value = _finite(job, key, quantity, options, inputs, default_priority, found)
    return found.done(replace(value, span=span_of(spec, found)))


def batch_job(
    raw: Raw | InferenceJob,
    accelerators: Sequence[AcceleratorType] = (),
    *,
    default_priority: int = 0,
    file: str = "",
    strict: bool = False,
) -> Converted[TrainingJob]:
    """A Batch InferenceJob as a finite job: requests are the work, `minReplicas` replicas share it."""
    job, failed = model_of(raw, InferenceJob, file, strict)
    if job is None:
        assert failed is not None
        return failed
    spec, found = job.spec, findings_for(job, file)
    key = Key(job.namespace, job.name, "InferenceJob")
    if spec.mode != "Batch":
        found.invalid("spec.mode", "is Online", "convert it with online_service")
    quantity = found.decimal(spec.requests)
    refuse_span(spec.placement, found)
    _refuse_differing_models(spec.variants, found)
    kinds = {kind.name: kind for kind in accelerators}
    options = with_rates(
        [
            _batch_option(served(entry, kinds), entry, index, spec, _cpu_names(accelerators), found)
            for index, entry in enumerate(spec.variants)
        ],
        None,
        kinds,
    )
    _check_lengths("variants", options, quantity, found)
    model = _model_input(spec.variants[0], job.namespace)
    return found.done(
        _finite(job, key, quantity, options, () if model is None else (model,), default_priority, found)
    )


def _finite(
    job: TrainingJobObject | InferenceJob,
    key: Key,
    quantity: float,
    options: tuple[Option, ...],
    inputs: tuple[DataInput, ...],
    default_priority: int,
    found: Findings,
) -> TrainingJob:
    """What both kinds of finite job have in common."""
    spec = job.spec
    return TrainingJob(
        key=key,
        uid=str(job.metadata.get("uid") or f"file-{key}"),
        created_at=created_at(job.metadata),
        work_quantity=quantity,
        options=options,
        inputs=inputs,
        priority=default_priority if spec.priority is None else spec.priority,
        deadline_at=found.instant("spec.deadline", spec.deadline),
        site_selector=_sites(spec.placement),
        confidential=_confidential(spec.placement),
        placed=None if stopping(job.status) else read_placed(job.status),
        promise=read_promise(job.status),
        exclusions=read_exclusions(job.status),
        checkpoint=_checkpoint(spec, found),
        output=_output(spec, job.namespace, inputs, found),
        resume=read_resume(job.status, options),
    )


def online_service(
    raw: Raw | InferenceJob,
    accelerators: Sequence[AcceleratorType] = (),
    *,
    default_priority: int = 0,
    file: str = "",
    strict: bool = False,
) -> Converted[InferenceService]:
    """An Online InferenceJob."""
    job, failed = model_of(raw, InferenceJob, file, strict)
    if job is None:
        assert failed is not None
        return failed
    spec, found = job.spec, findings_for(job, file)
    key = Key(job.namespace, job.name, "InferenceJob")
    if spec.mode != "Online" or spec.objective is None:
        found.invalid("spec.mode", "is Batch", "convert it with batch_job")
        return Converted(None, tuple(found.problems))
    if spec.deadline is not None:
        found.refuse("spec.deadline", "a service does not end; leave it out, its objective is the latency")
    refuse_span(spec.placement, found)
    demand = tuple(
        Demand(
            entry.site,
            found.decimal(entry.requests_per_second),
            float(found.whole(f"spec.demand[{index}].requestBytes", entry.request_bytes, most=10**12)),
            float(found.whole(f"spec.demand[{index}].responseBytes", entry.response_bytes, most=10**12)),
        )
        for index, entry in enumerate(spec.demand or ())
    )
    latency_seconds = spec.objective.latency_milliseconds / 1000
    kinds = {kind.name: kind for kind in accelerators}
    variants = tuple(
        _variant(served(entry, kinds), entry, index, job, latency_seconds, _cpu_names(accelerators), found)
        for index, entry in enumerate(spec.variants)
    )
    return found.done(
        InferenceService(
            key=key,
            uid=str(job.metadata.get("uid") or f"file-{key}"),
            created_at=created_at(job.metadata),
            demand=demand,
            variants=variants,
            latency_seconds=latency_seconds,
            percentile=spec.objective.percentile / 100,
            min_replicas=spec.min_replicas,
            cost_per_hour=found.maybe_decimal(spec.objective.cost_per_hour),
            fixed_replicas=spec.replicas if spec.scaling == "External" else None,
            priority=default_priority if spec.priority is None else spec.priority,
            site_selector=_sites(spec.placement),
            confidential=_confidential(spec.placement),
            serving=serving_of(job.status),
            exclusions=read_exclusions(job.status),
        )
    )


def _cpu_names(accelerators: Sequence[AcceleratorType]) -> frozenset[str]:
    return frozenset({"cpu"} | {kind.name for kind in accelerators if kind.device_class == "CPU"})


def _sites(placement: Placement | None) -> Selector:
    return selector(placement.sites if placement else None)


def _confidential(placement: Placement | None) -> bool:
    return placement is not None and placement.confidential == "Required"


def _checkpoint(spec: TrainingJobSpec | InferenceJobSpec, found: Findings) -> Checkpoint | None:
    told = spec.checkpoint if isinstance(spec, TrainingJobSpec) else None
    if told is None:
        return None
    size = found.whole("spec.checkpoint.size", told.size)
    if size == 0:
        found.invalid("spec.checkpoint.size", "is zero", "write the size of one checkpoint, such as 300Mi")
    interval = None if told.interval_seconds is None else float(told.interval_seconds)
    return Checkpoint(size, interval, told.mount_path is not None)


def _output(
    spec: TrainingJobSpec | InferenceJobSpec, namespace: str, inputs: Sequence[DataInput], found: Findings
) -> Output | None:
    told = spec.output if isinstance(spec, TrainingJobSpec) else None
    if told is None:
        return None
    size = found.whole("spec.output.size", told.size)
    if size == 0:
        found.invalid("spec.output.size", "is zero", "write how much the job leaves behind at most, such as 200Mi")
    key = Key(namespace, told.data_set_ref.name, "DataSet") if told.data_set_ref else None
    if any(one.data_set == key for one in inputs):
        found.invalid("spec.output.dataSetRef", "is a data set that the job reads", "write to another one")
    return Output(size, told.mount_path is not None, key)


def _refuse_differing_models(variants: Sequence[VariantSpec], found: Findings) -> None:
    """A batch's input belongs to the job, not to the option, so all variants must read the same model."""
    first = variants[0].model
    for index, entry in enumerate(variants):
        if entry.model != first:
            found.refuse(
                f"spec.variants[{index}].model",
                "variants of a Batch must all name the same model so far; split the job, one model each",
            )


def _input(entry: DataEntry, index: int, namespace: str, found: Findings) -> DataInput:
    field = f"spec.data[{index}]"
    if entry.access == "Stream" and entry.mount_path is not None:
        remedy = "read POLYHULL_DATA_<NAME>_URL and leave it out, or write access: Stage"
        found.refuse(f"{field}.mountPath", f"a streamed data set is read from its address, not from files; {remedy}")
    if entry.access == "Stage" and entry.chunks not in (None, 1):
        found.invalid(
            f"{field}.chunks", "a staged data set comes as a whole", "leave it out, or write access: Stream"
        )
    key = Key(namespace, entry.data_set_ref.name, "DataSet")
    return DataInput(key, Access(entry.access), entry.chunks, entry.mount_path is not None)


def _model_input(entry: VariantSpec, namespace: str) -> DataInput | None:
    if entry.model is None:
        return None
    key = Key(namespace, entry.model.data_set_ref.name, "DataSet")
    return DataInput(key, mounted=entry.model.mount_path is not None)


def _unit_work(work: Work, found: Findings) -> UnitWork | None:
    """What one unit needs; None where nobody said."""
    flops = found.whole("spec.work.flopsPerUnit", work.flops_per_unit, most=10**30)
    moved = found.whole("spec.work.bytesPerUnit", work.bytes_per_unit, most=10**30)
    return UnitWork(float(flops), float(moved), work.precision or "") if flops or moved else None


def _check_lengths(part: str, options: Sequence[Option], quantity: float, found: Findings) -> None:
    for index, option in enumerate(options):
        rate = option.rate_per_second
        if rate is not None and rate > 0.0 and quantity / rate > LONGEST_SECONDS:
            years = quantity / rate / (365 * 86_400)
            remedy = "check how much work there is and the rate"
            found.invalid(f"spec.{part}[{index}].rate", f"it would run {years:.3g} years", remedy)


def _option(
    entry: OptionSpec, index: int, template: PodTemplate | None, cpu_names: frozenset[str], found: Findings
) -> Option:
    pod = pod_requests(
        template,
        entry.template,
        entry.devices_per_replica,
        class_cpu=entry.accelerator in cpu_names,
        field=f"spec.options[{index}].template",
        found=found,
    )
    return Option(
        entry.name,
        entry.accelerator,
        entry.replicas,
        entry.devices_per_replica,
        None if entry.rate is None else found.decimal(entry.rate),
        pod,
        Evidence(entry.rate_evidence),
        service_account(template, entry.template),
        grace_seconds=grace_seconds(template, entry.template),
    )


def _batch_option(
    serves: Served, entry: VariantSpec, index: int, spec: InferenceJobSpec, cpu_names: frozenset[str], found: Findings
) -> Option:
    pod = pod_requests(
        spec.template,
        entry.template,
        entry.devices_per_replica,
        class_cpu=entry.accelerator in cpu_names,
        field=f"spec.variants[{index}].template",
        found=found,
    )
    return Option(
        entry.name,
        entry.accelerator,
        spec.min_replicas,
        entry.devices_per_replica,
        None if serves.rate is None else serves.rate * spec.min_replicas,
        pod,
        serves.evidence,
        service_account(spec.template, entry.template),
    )


def _variant(
    serves: Served,
    entry: VariantSpec,
    index: int,
    job: InferenceJob,
    latency_seconds: float,
    cpu_names: frozenset[str],
    found: Findings,
) -> Variant:
    field, template = f"spec.variants[{index}]", job.spec.template
    if serves.seconds >= latency_seconds:
        problem = "serving alone takes as long as objective.latencyMilliseconds allows"
        if serves.evidence is Evidence.ESTIMATED:
            problem += f" (estimated: {serves.seconds:.3g} s)"
        found.invalid(f"{field}.serviceMilliseconds", problem, "raise the objective, or take the variant out")
    pod = pod_requests(
        template,
        entry.template,
        entry.devices_per_replica,
        class_cpu=entry.accelerator in cpu_names,
        field=f"{field}.template",
        found=found,
    )
    return Variant(
        name=entry.name,
        accelerator=entry.accelerator,
        devices_per_replica=entry.devices_per_replica,
        rate_per_second=serves.rate or 0.0,
        service_seconds=serves.seconds,
        quality=found.decimal(entry.quality),
        pod=pod,
        model=_model_input(entry, job.namespace),
        rate_evidence=serves.evidence,
        service_account=service_account(template, entry.template),
    )


def _check_mounts(template: PodTemplate | None, mounts: Mapping[str, str | None], found: Findings) -> None:
    used = [volume.mount_path for volume in (template.volumes if template else None) or ()]
    for field, path in mounts.items():
        if path is None:
            continue
        if path in used:
            found.invalid(f"spec.{field}.mountPath", f"{path} is mounted twice", "give each entry a path of its own")
        used.append(path)
