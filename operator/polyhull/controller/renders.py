"""From what was decided to the manifests that say so: the bridge between status, fleet and `render/`. Pure.

Works from `status.assignment` rather than from a decision, so that a restarted operator makes the same child.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from polyhull.api.convert import pod_template
from polyhull.controller.children import Member
from polyhull.controller.hubjob import Child, HubJob, kept_entries
from polyhull.controller.kept import Left
from polyhull.delivery.base import Apply
from polyhull.domain.decision import ServingPlan, Transfer
from polyhull.domain.errors import InvalidInput
from polyhull.domain.fleet import CLUSTERSET_DOMAIN, Cluster, Fleet, Storage, StorageKind
from polyhull.domain.units import parse_whole
from polyhull.domain.workloads import DataSet, Key
from polyhull.kube.resources import Manifest
from polyhull.optimize.stores import buckets, homes
from polyhull.render import inference, keeping, naming, purge, training, transfer
from polyhull.render.data import Data, located
from polyhull.render.naming import Owner
from polyhull.render.pod import Place


@dataclass(frozen=True, slots=True)
class HubDataSet:
    """A data set as the hub holds it, converted."""

    raw: Manifest
    value: DataSet

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"]["uid"])

    @property
    def copies(self) -> Sequence[Mapping[str, Any]]:
        """As recorded."""
        return (self.raw.get("status") or {}).get("copies") or ()

    def closed(self, members: Mapping[str, Member], now: float) -> bool:
        """Whether nothing is copied, now or any more."""
        return False

    def record(self, copies: Sequence[Mapping[str, Any]], active: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Fields of its status that say so."""
        held = [dict(copy) for copy in copies]
        return {"copies": held or None, "transfers": list(active) or None, "copyCount": len(copies) or None}

    def bucket_url(self, storage: Storage) -> str:
        """Where in a bucket a copy of it lies."""
        return transfer.copy_url(Owner.of(self.value.key, self.uid), storage)


@dataclass(frozen=True, slots=True)
class Renderer:
    """All that manifests depend on beside the job itself. `hub` tells this hub's children from another's."""

    fleet: Fleet
    data_sets: Mapping[Key, HubDataSet]
    hub: str = ""
    rclone_image: str = transfer.IMAGE

    def child(self, job: HubJob, child: Child, plan_hash: str) -> Apply:
        """Apply of a child Job and its companions. Raises InvalidInput when the fleet has no such pool any more."""
        told, cluster = child.told, self.cluster(child.cluster)
        spec, option = job.raw["spec"], child.told["option"]
        gang = training.Gang(
            owner=Owner.of(job.key, job.uid, self.hub),
            option=option,
            replicas=child.replicas,
            place=self._place(
                child.pool,
                told["accelerator"],
                int(told["devicesPerReplica"]),
                tuple((node["name"], int(node["pods"])) for node in told.get("nodes") or ()),
            ),
            template=pod_template(job.raw, option),
            data=(
                *self._data(
                    job.key.namespace, self._job_entries(spec, option), cluster, _streamed_from(told, cluster.site)
                ),
                *map(keeping.as_data, self.kept(job, child)),
            ),
            retry_limit=int(spec.get("retryLimit", 3)),
            plan_hash=plan_hash[:63],
            checkpoint_interval_seconds=int(child.assignment.get("checkpointIntervalSeconds") or 0),
            pod_groups=cluster.serves_pod_groups,
            span=self._span(job, child) if len(child.parts) > 1 else None,
        )
        return Apply(
            cluster.name, training.job(gang), partial(training.dependents, gang) if child.has_service else None
        )

    def _span(self, job: HubJob, child: Child) -> training.Span:
        """Raises InvalidInput when pods of other clusters have no name for rank 0."""
        parts, first = child.parts, child.parts[0]
        crossing = job.raw["spec"]["placement"]["crossSite"]
        leader, elsewhere = self.cluster(first["cluster"]), [part["cluster"] for part in parts[1:]]
        abroad = any(cluster != leader.name for cluster in elsewhere)
        if abroad and not leader.service_domain:
            remedy = "install the Multi-Cluster Services API there, or set spec.serviceDomain"
            raise InvalidInput(
                f"MemberCluster {leader.name}", "", "other clusters have no names for its pods", remedy
            )
        service = naming.child_name(Owner.of(job.key, job.uid), *naming.rank(0, len(parts)))
        address = f"{service}-0.{service}"
        if child.cluster != leader.name:
            address = f"{service}.{job.key.namespace}.{leader.service_domain}"
        return training.Span(
            mode=crossing["mode"],
            site=child.told["site"],
            part=child.part,
            parts=len(parts),
            first_rank=child.first_rank,
            part_rank=int(child.told.get("firstRank") or 0),
            nodes=sum(int(part["replicas"]) for part in parts),
            devices=sum(int(part["replicas"]) * int(part["devicesPerReplica"]) for part in parts),
            master_address=address if child.first_rank > 0 else "",
            exported=abroad and leader.service_domain == CLUSTERSET_DOMAIN,
            stage_layers=tuple(tuple(map(int, part.get("stageLayers") or ())) for part in parts),
            micro_batches=int(child.assignment.get("microBatches") or 1),
            synchronize_steps=int(crossing.get("synchronizeSteps") or 1),
        )

    def kept(self, job: HubJob, child: Child) -> tuple[keeping.Kept, ...]:
        """What the job writes where the child runs; nothing where nothing can be kept."""
        cluster, spec = self.cluster(child.cluster), job.raw["spec"]
        if cluster.storage.kind is StorageKind.NONE:
            return ()
        return tuple(
            keeping.Kept(
                entry=name,
                owner=Owner.of(job.key, job.uid, self.hub),
                store=cluster.store,
                storage=cluster.storage,
                size_bytes=parse_whole(str(entry["size"])),
                mount_path=entry.get("mountPath") or "",
                data_set=self._written(job, entry),
            )
            for name in kept_entries(job, child)
            if (entry := spec.get(name))
        )

    def claims(self, job: HubJob, child: Child) -> tuple[Apply, ...]:
        """Applies of the claims that the pods of the child's part write to: before its first child, and never again
        once that is there."""
        if child.first_rank != int(child.told.get("firstRank") or 0):
            return ()
        made = (keeping.claim(one) for one in self.kept(job, child))
        return tuple(Apply(child.cluster, manifest, uid=job.uid) for manifest in made if manifest is not None)

    def purge(self, owner: Owner, one: Left) -> Apply:
        """Apply of the Job that removes what it wrote from its bucket. Raises InvalidInput where that cannot be."""
        secret = self.cluster(one.cluster).storage.secret_name
        whose = replace(owner, hub=self.hub)
        return Apply(one.cluster, purge.job(purge.Purging(whose, one.entry, one.url, secret, self.rclone_image)))

    def output_status(self, job: HubJob, child: Child) -> dict[str, Any]:
        """`status.output` of a job that leaves one: where it is to be found."""
        for one in self.kept(job, child):
            if one.entry == keeping.OUTPUT:
                at = {"claimName": one.claim_name} if one.claim_name else {"url": one.url}
                return {"output": {"cluster": child.cluster, "store": one.store, **at}}
        return {}

    def _written(self, job: HubJob, entry: Mapping[str, Any]) -> Owner | None:
        named = entry.get("dataSetRef")
        if not named:
            return None
        key = Key(job.key.namespace, named["name"], "DataSet")
        held = self.data_sets.get(key)
        if held is None:
            raise InvalidInput(str(key), "", "does not exist", "create it, or take it out of the job")
        return Owner.of(key, held.uid, self.hub)

    def deployment(self, raw: Manifest, key: Key, part: ServingPlan, old: Manifest | None = None) -> Manifest:
        """The Deployment of one part of a service's plan.

        `old` is what runs: its preferred hosts are kept, since other hosts are another pod template, and a plan that
        adds one replica must not restart all the others.
        """
        cluster = self.cluster(part.cluster)
        notes = ((old or {}).get("metadata") or {}).get("annotations") or {}
        hosts = tuple(sorted(name for name, _ in part.nodes if not name.startswith("+")))
        if naming.HOSTS in notes:
            hosts = tuple(name for name in str(notes[naming.HOSTS]).split(",") if name)
        template, entries = pod_template(raw, part.variant), self._job_entries(raw["spec"], part.variant)
        serving = inference.Serving(
            owner=Owner.of(key, str(raw["metadata"]["uid"]), self.hub),
            variant=part.variant,
            replicas=part.replicas,
            place=self._place(part.pool, part.accelerator, part.devices_per_replica, tuple((h, 1) for h in hosts)),
            template=template,
            data=self._data(key.namespace, entries, cluster),
        )
        made = inference.deployment(serving)
        made["metadata"]["annotations"] |= {
            naming.HOSTS: ",".join(hosts),
            naming.TEMPLATE: _digest([template, entries]),
        }
        return made

    def service(self, raw: Manifest, key: Key, variants: tuple[str, ...]) -> Manifest:
        """The Service over these variants in one cluster."""
        owner = Owner.of(key, str(raw["metadata"]["uid"]), self.hub)
        return inference.service(owner, [pod_template(raw, variant) for variant in variants])

    def copying(self, moved: Transfer, plan_hash: str) -> tuple[transfer.Copying, ...]:
        """What a transfer's Jobs are rendered from, one for each part.

        Raises InvalidInput when data set or cluster are gone.
        """
        held = self.data_sets.get(moved.data_set)
        if held is None:
            raise InvalidInput(str(moved.data_set), "", "does not exist any more", "create it, or change the job")
        secrets = {replica.site: replica.secret_name for replica in held.value.replicas}
        own, storage = self._in_buckets(held), self.cluster(moved.cluster).storage
        return tuple(
            transfer.Copying(
                owner=Owner.of(moved.data_set, held.uid, self.hub),
                transfer=moved,
                storage=storage,
                target_url=held.bucket_url(storage) if storage.kind is StorageKind.BUCKET else "",
                source_url=own[flow.source_site][0] if flow.source_site in own else "",
                source_secret=own[flow.source_site][1]
                if flow.source_site in own
                else secrets.get(flow.source_site, ""),
                image=self.rclone_image,
                plan_hash=plan_hash[:63],
                part=part,
            )
            for part, flow in enumerate(moved.flows)
        )

    def _in_buckets(self, held: HubDataSet) -> dict[str, tuple[str, str]]:
        """By site, (address, Secret) of copies that other clusters read: of a data set that no replica gives them."""
        stores = {} if homes(held.value, {}) else buckets(self.fleet)
        return {
            copy.site: (held.bucket_url(stores[copy.store]), stores[copy.store].secret_name)
            for copy in held.value.copies
            if copy.store in stores
        }

    def cluster(self, name: str) -> Cluster:
        """Raises InvalidInput when it is gone."""
        cluster = self.fleet.cluster(name)
        if cluster is None:
            raise InvalidInput(f"MemberCluster {name}", "", "does not exist any more", "declare it again")
        return cluster

    def _place(
        self, pool_name: str, accelerator_name: str, devices: int, nodes: tuple[tuple[str, int], ...]
    ) -> Place:
        pool, accelerator = self.fleet.pool(pool_name), self.fleet.accelerator(accelerator_name)
        if pool is None or accelerator is None:
            missing = f"pool {pool_name}" if pool is None else f"accelerator {accelerator_name}"
            raise InvalidInput(f"fleet: {missing}", "", "does not exist any more", "it is planned again elsewhere")
        return Place.of(pool, accelerator, devices, nodes)

    def _job_entries(self, spec: Mapping[str, Any], option: str) -> list[tuple[str, str, str]]:
        """(entry name, data set name, mount path) of what the option reads."""
        entries = [
            (entry["name"], entry["dataSetRef"]["name"], entry.get("mountPath") or "")
            for entry in spec.get("data") or ()
        ]
        for variant in spec.get("variants") or ():
            model = variant.get("model")
            if variant["name"] == option and model:
                entries.append(("model", model["dataSetRef"]["name"], model.get("mountPath") or ""))
        return entries

    def _data(
        self,
        namespace: str,
        entries: list[tuple[str, str, str]],
        cluster: Cluster,
        streamed_from: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[Data, ...]:
        return tuple(self._one(namespace, entry, cluster, streamed_from.get(entry[1])) for entry in entries)

    def _one(self, namespace: str, entry: tuple[str, str, str], cluster: Cluster, source: str | None) -> Data:
        """A copy at the cluster's store where there is one, else the declared replica at its site, or at `source`."""
        name, data_set, mount = entry
        key = Key(namespace, data_set, "DataSet")
        held = self.data_sets.get(key)
        if held is None:
            raise InvalidInput(str(key), "", "does not exist", "create it, or take it out of the job")
        if any(copy.store == cluster.store for copy in held.value.copies):
            owner = Owner.of(key, held.uid, self.hub)
            return transfer.copy_as_data(name, owner, cluster.store, cluster.storage, mount)
        for replica in held.value.replicas:
            if replica.site == (source or cluster.site) and (not mount or replica.url.startswith("pvc://")):
                return located(name, replica.url, replica.secret_name, mount)
        if source is not None and (own := self._in_buckets(held).get(source)):
            return located(name, *own)
        raise InvalidInput(str(key), "", f"is not at {cluster.name} yet", "wait for its transfer")


def _streamed_from(assignment: Mapping[str, Any], own_site: str) -> dict[str, str]:
    """Data sets that the assignment reads from another site than its own, with that site."""
    stores = {entry["dataSet"]: str(entry["store"]) for entry in assignment.get("data") or ()}
    sites = {name: store.removeprefix("site:") for name, store in stores.items() if store.startswith("site:")}
    return {name: site for name, site in sites.items() if site != own_site}


def _digest(values: list[Any]) -> str:
    """Of what the owner wrote, not of what it is rendered to: a pool that gains a node restarts nobody."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
