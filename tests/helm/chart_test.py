"""Renders the chart in many ways with the real Helm engine and looks at what comes out.

Every object is validated against the schemas of Kubernetes (oldest supported and newest), strictly: a misspelt field is
an error. Wrong values must be refused with a message that names the key. `--write-readme` renews the values table.
"""

import copy
import json
import pathlib
import re
import sys
import traceback

import helm_python
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "oneshelf"
SERVICES = ["catalog", "channels", "inventory", "loyalty", "orders", "partners"]
KUBERNETES = ["1.30", "1.37"]
PROD = yaml.safe_load((CHART / "values-prod.yaml").read_text())

tests = []


def test(function):
    tests.append(function)
    return function


# --- helpers --------------------------------------------------------------------------------------------------------

chart = helm_python.Chart.load(CHART)


def render(values=None, **options):
    options = {"name": "shop", "namespace": "retail", **options}
    objects = []
    for path, text in chart.render(values, **options).items():
        if path.endswith(".yaml"):
            objects += [document for document in yaml.safe_load_all(text) if document]
    return objects


def of(objects, kind, component=None):
    found = [o for o in objects if o["kind"] == kind]
    if component:
        found = [o for o in found if o["metadata"]["labels"]["app.kubernetes.io/component"] == component]
    return found


def one(objects, kind, component=None):
    found = of(objects, kind, component)
    assert len(found) == 1, f"{len(found)} of {kind} {component}"
    return found[0]


def pod(thing):
    return thing["spec"]["template"]["spec"]


def env(container):
    names = [e["name"] for e in container["env"]]
    assert len(names) == len(set(names)), f"set twice: {names}"
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}


def pods(objects):
    for thing in objects:
        if thing["kind"] in ("Deployment", "Job"):
            yield thing["metadata"]["name"], thing["spec"]["template"]["metadata"], pod(thing)
        elif thing["kind"] == "Pod":
            yield thing["metadata"]["name"], thing["metadata"], thing["spec"]


def refused(values, *words):
    try:
        render(values)
    except helm_python.HelmError as error:
        for word in words:
            assert word in str(error), f"{word!r} is not in: {error}"
        return
    raise AssertionError(f"accepted: {values}")


def merged(base, extra):
    result = copy.deepcopy(base)
    for key, value in extra.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and isinstance(result.get(key), dict) else value
    return result


FULL = {
    "commonLabels": {"team": "retail"},
    "commonAnnotations": {"contact": "ops"},
    "image": {"registry": "mirror.example:5000", "digest": "sha256:" + "a" * 64, "pullSecrets": ["pull"]},
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"grpcFrom": [{"podSelector": {}}], "adminFrom": [{"podSelector": {}}]},
    "defaults": {
        "env": {"ONE": "1"},
        "extraEnv": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
        "extraVolumes": [{"name": "tls", "secret": {"secretName": "tls"}}],
        "extraVolumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
        "autoscaling": {"enabled": True, "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}},
        "service": {"annotations": {"a": "b"}},
        "serviceAccount": {"annotations": {"role": "x"}},
        "podAnnotations": {"p": "q"},
        "podLabels": {"l": "m"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "retail", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname"}}]}},
        "priorityClassName": "high",
        "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
    },
}
PERMUTATIONS = {
    "defaults": {},
    "production": PROD,
    "everything": FULL,
    "production and everything": merged(PROD, FULL),
    "one service": {"services": {name: {"enabled": name == "orders"} for name in SERVICES}},
    "job": {"migrations": {"mode": "job"}},
    "manual": {"migrations": {"mode": "manual"}},
    "no network policies, no tests": {"networkPolicy": {"enabled": False}, "tests": {"enabled": False}},
    "recreate": {"defaults": {"strategy": {"type": "Recreate"}, "podDisruptionBudget": {"enabled": False}}},
    "no sleep": {"defaults": {"preStopSleepSeconds": 0, "topologySpreadConstraints": []}},
    "given accounts": {"defaults": {"serviceAccount": {"create": False, "name": "mine"}}},
    "headless, percent": {"defaults": {"service": {"headless": True}, "podDisruptionBudget": {"maxUnavailable": "25%"}}},
}

# --- every permutation ------------------------------------------------------------------------------------------------


def permutation(name, values):
    def valid_objects():
        objects = render(values)
        assert objects
        for thing in objects:
            if "monitoring.coreos.com" in thing["apiVersion"]:
                continue
            for version in KUBERNETES:
                kubernetes_validate.validate(thing, version, strict=True)

    def restricted_pods():
        for who, _, spec in pods(render(values)):
            assert spec["automountServiceAccountToken"] is False, who
            assert spec["securityContext"]["runAsNonRoot"] is True, who
            assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", who
            for container in spec["containers"]:
                rights = container["securityContext"]
                assert rights["allowPrivilegeEscalation"] is False, who
                assert rights["readOnlyRootFilesystem"] is True, who
                assert rights["capabilities"] == {"drop": ["ALL"]}, who
                assert "memory" in container["resources"]["limits"], who
                assert "latest" not in container["image"] and re.search("[:@]", container["image"].split("/")[-1]), who

    def everything_finds_its_pods():
        objects = render(values)
        by_labels = [(who, meta["labels"], spec) for who, meta, spec in pods(objects)]
        for thing in objects:
            spec = thing.get("spec", {})
            selector = {
                "Service": lambda: spec["selector"],
                "Deployment": lambda: spec["selector"]["matchLabels"],
                "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
                "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
            }.get(thing["kind"])
            if not selector:
                continue
            # Nothing that changes with a version: a Deployment's selector can never be changed.
            assert set(selector()) == {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")}
            found = [s for _, labels, s in by_labels if selector().items() <= labels.items()]
            assert len(found) == 1, f"{thing['kind']} {thing['metadata']['name']} finds {len(found)} kinds of pods"
            ports = {p["name"] for p in found[0]["containers"][0]["ports"]}
            if thing["kind"] == "Service":
                assert {p["targetPort"] for p in spec["ports"]} <= ports
            if thing["kind"] == "NetworkPolicy":
                assert {p["port"] for rule in spec["ingress"] for p in rule["ports"]} == ports
        for monitor in of(objects, "ServiceMonitor"):
            labels = monitor["spec"]["selector"]["matchLabels"]
            found = [s for s in of(objects, "Service") if labels.items() <= s["metadata"]["labels"].items()]
            assert len(found) == 1
            assert monitor["spec"]["endpoints"][0]["port"] in {p["name"] for p in found[0]["spec"]["ports"]}
        for scaler in of(objects, "HorizontalPodAutoscaler"):
            target = scaler["spec"]["scaleTargetRef"]["name"]
            found = [d for d in of(objects, "Deployment") if d["metadata"]["name"] == target]
            assert len(found) == 1 and "replicas" not in found[0]["spec"], f"{target} is scaled and counted"

    def names_are_unique_and_short():
        names = [(o["kind"], o["metadata"]["name"]) for o in render(values)]
        assert len(names) == len(set(names)), names
        assert all(len(name) <= 63 for _, name in names), names

    def lints():
        report = helm_python.lint(CHART, values, strict=True)
        problems = report["errors"] + [m for m in report["messages"] if m["severity"] >= 2]
        assert not problems, problems

    for check in (valid_objects, restricted_pods, everything_finds_its_pods, names_are_unique_and_short, lints):
        check.__name__ += f" ({name})"
        test(check)


for name, values in PERMUTATIONS.items():
    permutation(name, values)

# --- single rules -----------------------------------------------------------------------------------------------------


@test
def each_service_runs_with_its_own_database_and_no_other():
    objects = render()
    for name in SERVICES:
        container = pod(one(objects, "Deployment", name))["containers"][0]
        assert container["args"] == ["serve", name]
        databases = {v for v in env(container) if v.endswith("__DATABASE__URL")}
        assert databases == {f"ONESHELF__{name.upper()}__DATABASE__URL", "ONESHELF__ACCESS__DATABASE__URL"}
        secret = env(container)[f"ONESHELF__{name.upper()}__DATABASE__URL"]["secretKeyRef"]
        assert secret == {"name": "oneshelf", "key": f"{name}-database-url"}


@test
def the_migration_knows_all_databases_and_uses_nothing_of_the_chart():
    job = one(render(), "Job")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert "serviceAccountName" not in pod(job) and "volumes" not in pod(job)
    databases = {v for v in env(pod(job)["containers"][0]) if v.endswith("__DATABASE__URL")}
    assert databases == {f"ONESHELF__{n.upper()}__DATABASE__URL" for n in [*SERVICES, "access"]}


@test
def an_ordinary_migration_job_is_new_with_each_revision():
    names = {one(render({"migrations": {"mode": "job"}}, revision=n), "Job")["metadata"]["name"] for n in (1, 2)}
    assert names == {"shop-oneshelf-migrate-1", "shop-oneshelf-migrate-2"}
    assert not of(render({"migrations": {"mode": "manual"}}), "Job")


@test
def no_secret_is_created_and_none_is_given():
    for values in PERMUTATIONS.values():
        objects = render(values)
        assert not of(objects, "Secret") and not of(objects, "ConfigMap")


@test
def secrets_can_come_from_several_places():
    objects = render(PROD)
    inventory = env(pod(one(objects, "Deployment", "inventory"))["containers"][0])
    assert inventory["ONESHELF__INVENTORY__DATABASE__URL"]["secretKeyRef"] == {"name": "inventory-db-app", "key": "uri"}
    assert inventory["ONESHELF__ACCESS__PEPPER"]["secretKeyRef"] == {"name": "oneshelf-keys", "key": "pepper"}
    assert inventory["ONESHELF__REDIS__URL"]["secretKeyRef"] == {"name": "oneshelf", "key": "redis-url"}
    migrate = env(pod(one(objects, "Job"))["containers"][0])
    assert migrate["ONESHELF__INVENTORY__DATABASE__URL"] == inventory["ONESHELF__INVENTORY__DATABASE__URL"]


@test
def without_any_secret_it_says_which_is_missing():
    refused({"secrets": {"existingSecret": ""}}, "secrets.existingSecret is empty", "ONESHELF__")


@test
def own_values_win_over_defaults():
    objects = render({
        "env": {"A": "common", "B": "common", "C": "common"},
        "defaults": {"env": {"B": "default", "C": "default"}, "replicas": 4},
        "services": {"orders": {"env": {"C": "own"}, "replicas": 1, "resources": {"limits": {"memory": "2Gi"}}}},
    })
    orders, loyalty = one(objects, "Deployment", "orders"), one(objects, "Deployment", "loyalty")
    assert [env(pod(orders)["containers"][0])[k] for k in "ABC"] == ["common", "default", "own"]
    assert [env(pod(loyalty)["containers"][0])[k] for k in "ABC"] == ["common", "default", "default"]
    assert (orders["spec"]["replicas"], loyalty["spec"]["replicas"]) == (1, 4)
    assert pod(orders)["containers"][0]["resources"] == {
        "requests": {"cpu": "200m", "memory": "128Mi"}, "limits": {"memory": "2Gi"}}


@test
def services_find_each_other_by_name():
    found = env(pod(one(render(), "Deployment", "orders"))["containers"][0])
    assert found["ONESHELF__CLIENTS__INVENTORY__URL"] == "http://shop-oneshelf-inventory:7400"
    one(render(), "Service", "inventory")
    elsewhere = {"services": {"inventory": {"enabled": False}}, "env": {"ONESHELF__CLIENTS__INVENTORY__URL": "http://far:7400"}}
    found = env(pod(one(render(elsewhere), "Deployment", "orders"))["containers"][0])
    assert found["ONESHELF__CLIENTS__INVENTORY__URL"] == "http://far:7400"


@test
def a_pod_has_time_to_drain():
    for name in SERVICES:
        spec = pod(one(render(PROD), "Deployment", name))
        container = spec["containers"][0]
        drain = int(env(container)["ONESHELF__SERVER__DRAIN_MS"]) // 1000
        assert spec["terminationGracePeriodSeconds"] > drain + container["lifecycle"]["preStop"]["sleep"]["seconds"]
    refused({"defaults": {"drainSeconds": 40}}, "terminationGracePeriodSeconds must exceed")


@test
def liveness_asks_the_process_and_readiness_the_service():
    container = pod(one(render(), "Deployment", "orders"))["containers"][0]
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}


@test
def one_replica_never_blocks_a_drain():
    for budget in of(render({"defaults": {"replicas": 1}}), "PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1 and "minAvailable" not in budget["spec"]


@test
def policies_let_dns_stores_and_neighbours_through():
    for policy in of(render(), "NetworkPolicy"):
        ports = {p["port"] for rule in policy["spec"]["egress"] for p in rule["ports"]}
        assert {5432, 6379, 5672, 7400} <= ports
        assert {"port": 53, "protocol": "UDP"} in policy["spec"]["egress"][0]["ports"]
        assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}
    policy = one(render(PROD), "NetworkPolicy", "orders")
    grpc, admin = policy["spec"]["ingress"]
    assert {"app.kubernetes.io/instance": "shop", "app.kubernetes.io/part-of": "oneshelf"} == grpc["from"][0]["podSelector"]["matchLabels"]
    assert len(grpc["from"]) == 2 and len(admin["from"]) == 1


@test
def spread_constraints_count_the_pods_of_one_version():
    constraints = pod(one(render(PROD), "Deployment", "loyalty"))["topologySpreadConstraints"]
    assert len(constraints) == 2
    for constraint in constraints:
        assert constraint["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == "loyalty"
        assert constraint["matchLabelKeys"] == ["pod-template-hash"]


@test
def helm_test_asks_the_health_service_that_the_protos_declare():
    probes = of(render(), "Pod")
    assert len(probes) == len(SERVICES)
    for probe in probes:
        service = probe["spec"]["containers"][0]["command"][2].removeprefix("-service=")
        package, _, name = service.rpartition(".")
        proto = (ROOT / "proto" / pathlib.Path(*package.split(".")))
        assert any(re.search(rf"^service {name} ", f.read_text(), re.M) for f in proto.glob("*.proto")), service


@test
def the_image_is_pinned_as_asked():
    def image(values):
        return pod(one(render({"image": values}), "Deployment", "orders"))["containers"][0]["image"]
    assert image({}) == f"oneshelf/oneshelf:{chart.metadata['appVersion']}"
    assert image({"tag": "1.2"}) == "oneshelf/oneshelf:1.2"
    assert image({"registry": "r:5000", "tag": "1", "digest": "sha256:" + "0" * 64}) == "r:5000/oneshelf/oneshelf@sha256:" + "0" * 64


@test
def long_release_names_are_cut():
    for thing in render(name="a" * 53):
        assert len(thing["metadata"]["name"]) <= 63
    assert one(render(name="oneshelf"), "Deployment", "orders")["metadata"]["name"] == "oneshelf-orders"
    assert one(render({"fullnameOverride": "x"}), "Deployment", "orders")["metadata"]["name"] == "x-orders"


# --- wrong values -----------------------------------------------------------------------------------------------------

WRONG = {
    "an unknown key": ({"replicas": 3}, "replicas"),
    "an unknown service": ({"services": {"crm": {}}}, "crm"),
    "an unknown key of a service": ({"services": {"orders": {"replica": 3}}}, "replica"),
    "an unknown key of the defaults": ({"defaults": {"resource": {}}}, "resource"),
    "a count in words": ({"defaults": {"replicas": "three"}}, "replicas"),
    "no replica": ({"services": {"orders": {"replicas": 0}}}, "replicas"),
    "a number as environment": ({"env": {"A": 1}}, "A"),
    "a bad variable name": ({"env": {"A-B": "1"}}, "A-B"),
    "a secret in plain sight": ({"env": {"ONESHELF__ACCESS__PEPPER": "x"}}, "ONESHELF__ACCESS__PEPPER"),
    "a database address in plain sight": ({"services": {"orders": {"env": {"ONESHELF__ORDERS__DATABASE__URL": "x"}}}}, "DATABASE__URL"),
    "a short digest": ({"image": {"digest": "sha256:12"}}, "digest"),
    "a pull policy": ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    "an empty repository": ({"image": {"repository": ""}}, "repository"),
    "a migration mode": ({"migrations": {"mode": "auto"}}, "mode"),
    "a port": ({"networkPolicy": {"egressPorts": [70000]}}, "egressPorts"),
    "an interval": ({"serviceMonitor": {"interval": "often"}}, "interval"),
    "a budget that blocks drains": ({"defaults": {"podDisruptionBudget": {"maxUnavailable": 0}}}, "maxUnavailable"),
    "a memory amount": ({"defaults": {"resources": {"limits": {"memory": "lots"}}}}, "memory"),
    "headless and balanced": ({"defaults": {"service": {"headless": True, "type": "LoadBalancer"}}}, "service"),
    "a service set to null, which Helm takes for a removal": ({"services": {"catalog": None}}, "catalog"),
    "a secret's name": ({"secrets": {"existingSecret": "Not A Name"}}, "existingSecret"),
    "fewest above most": ({"defaults": {"autoscaling": {"enabled": True, "minReplicas": 9}}}, "minReplicas"),
    "nothing to run": ({"defaults": {"enabled": False}}, "at least one"),
}


def refusal(name, values, word):
    def is_refused():
        refused(values, word)
    is_refused.__name__ = f"refused: {name}"
    test(is_refused)


for name, (values, word) in WRONG.items():
    refusal(name, values, word)

# --- documents --------------------------------------------------------------------------------------------------------


def documented():
    """Each key of values.yaml with the comment above it. A key without one is an error."""
    path, rows, comment = [], [], []
    # Deeper than a documented key lie samples of what Kubernetes itself defines.
    foreign = {"topologySpreadConstraints"}
    for line in (CHART / "values.yaml").read_text().splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.strip().lstrip("# "))
            continue
        match = re.match(r"^( *)([A-Za-z_]+):(.*)$", line)
        if match:
            depth = len(match[1]) // 2
            path = path[:depth] + [match[2]]
            if not foreign & set(path[:-1]):
                assert comment, f"{'.'.join(path)} has no comment in values.yaml"
                rows.append((".".join(path), " ".join(comment), match[3].strip()))
        comment = []
    return rows


def table():
    lines = ["| key | meaning | default |", "|---|---|---|"]
    values = chart.values
    for path, comment, _ in documented():
        value = values
        for part in path.split("."):
            value = value[part]
        shown = "" if isinstance(value, dict) and value else f"`{json.dumps(value)}`"
        lines.append(f"| `{path}` | {comment.replace('|', chr(92) + '|')} | {shown} |")
    return "\n".join(lines) + "\n"


MARK = "`defaults` holds for every service; each key below it can also stand under `services.<name>`.\n\n"


@test
def every_value_is_explained_and_the_readme_has_them_all():
    readme = (CHART / "README.md").read_text()
    assert readme.partition(MARK)[2] == table(), "out of date; run: make chart ARGS=--write-readme"


@test
def the_schema_knows_exactly_the_values():
    def compare(schema, values, path):
        while "$ref" in schema:
            schema = chart.schema["$defs"][schema["$ref"].split("/")[-1]]
        known = schema.get("properties")
        if known is None or not isinstance(values, dict):
            return
        assert set(known) - {"global"} == set(values) or path.startswith("services."), f"{path}: {set(known) ^ set(values)}"
        for key, value in values.items():
            compare(known[key], value, f"{path}.{key}".lstrip("."))
    compare(chart.schema, chart.values, "")


def main():
    if "--write-readme" in sys.argv:
        readme = (CHART / "README.md").read_text()
        (CHART / "README.md").write_text(readme.partition(MARK)[0] + MARK + table())
        return 0
    failed = 0
    for function in tests:
        try:
            function()
        except Exception as error:
            failed += 1
            print(f"FAILED {function.__name__}: {error}")
            if not isinstance(error, AssertionError):
                traceback.print_exc(limit=-2)
    print(f"chart: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
