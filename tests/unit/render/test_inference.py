"""Online inference: one Deployment per pool and variant, one Service over all."""

from dataclasses import replace

from polyhull.render import naming
from polyhull.render.inference import Serving, deployment, service
from polyhull.render.naming import Owner
from tests.unit.render.render_values import CPU, DATA, GPU, TEMPLATE

OWNER = Owner("InferenceJob", "team-a", "chat", "i-1")
LARGE = Serving(OWNER, "large-h100", 3, GPU, TEMPLATE, DATA[1:])
SMALL = Serving(OWNER, "small-cpu", 2, CPU, {"image": "x:1"})


def test_the_selector_matches_its_own_pods_only() -> None:
    manifests = [
        deployment(one) for one in (LARGE, SMALL, replace(LARGE, place=CPU), replace(LARGE, variant="other"))
    ]
    for one in manifests:
        wanted = one["spec"]["selector"]["matchLabels"].items()
        matching = [other for other in manifests if wanted <= other["spec"]["template"]["metadata"]["labels"].items()]
        assert matching == [one]
    assert len({one["metadata"]["name"] for one in manifests}) == 4


def test_changing_replicas_changes_nothing_else() -> None:
    more = deployment(replace(LARGE, replicas=5))
    assert more["spec"].pop("replicas") == 5
    now = deployment(LARGE)
    assert now["spec"].pop("replicas") == 3
    assert more == now


def test_a_rollout_never_needs_a_device_more() -> None:
    assert deployment(LARGE)["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_the_service_reaches_every_variant_by_every_port() -> None:
    manifest = service(OWNER, [LARGE.template, SMALL.template])
    assert manifest["spec"]["ports"] == [
        {"name": "http", "port": 8080, "protocol": "TCP", "targetPort": "http"},
        {"name": "tcp-9090", "port": 9090, "protocol": "TCP", "targetPort": 9090},
    ]
    for one in (LARGE, SMALL):
        labels = deployment(one)["spec"]["template"]["metadata"]["labels"]
        assert manifest["spec"]["selector"].items() <= labels.items()
    assert manifest["metadata"]["labels"][naming.UID] == "i-1"


def test_a_service_without_ports_is_headless() -> None:
    spec = service(OWNER, [SMALL.template])["spec"]
    assert spec["clusterIP"] == "None"
    assert "ports" not in spec


def test_the_model_is_mounted() -> None:
    pod = deployment(LARGE)["spec"]["template"]["spec"]
    assert pod["volumes"][-1]["persistentVolumeClaim"]["claimName"] == "copy-1"
    assert pod.get("restartPolicy", "Always") == "Always"
