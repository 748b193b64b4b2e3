"""Objects to domain values: the one place where the wire's words become the core's.

Each function takes a raw object (as the API server or a file gives it) or a parsed model, and returns a
`Converted`: the value, or problems (fields that cannot be used) and refusals (fields nothing acts on yet).
"""

from polyhull.api.convert_common import is_online, key_of, managed_by_us, suspended
from polyhull.api.convert_data import active_transfers, carried_checkpoints, data_set
from polyhull.api.convert_fleet import (
    NamespaceRule,
    accelerator,
    cluster,
    declared_pool,
    fleet_policy,
    links,
    namespace_rule,
    site,
)
from polyhull.api.convert_jobs import batch_job, online_service, training_job
from polyhull.api.convert_scenario import scenario
from polyhull.api.podtemplate import pod_template
from polyhull.api.results import Converted, Refusal

__all__ = [
    "Converted",
    "NamespaceRule",
    "Refusal",
    "accelerator",
    "active_transfers",
    "batch_job",
    "carried_checkpoints",
    "cluster",
    "data_set",
    "declared_pool",
    "fleet_policy",
    "is_online",
    "key_of",
    "links",
    "managed_by_us",
    "namespace_rule",
    "online_service",
    "pod_template",
    "scenario",
    "site",
    "suspended",
    "training_job",
]
