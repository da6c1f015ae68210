"""Holds the files of deploy/ against the code that they speak of: settings, metrics, services, versions."""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = {path.parent.name for path in (ROOT / "services").glob("*/migrations")}
# Settings without a default.
REQUIRED = {"access.pepper", "quotes.key", "redis.url", "rabbitmq.url", "telemetry.otlp_endpoint"}


def text(path):
    return (ROOT / path).read_text()


def settings():
    def leaves(table, path):
        for key, value in table.items():
            here = f"{path}.{key}".lstrip(".")
            yield from leaves(value, here) if isinstance(value, dict) else [here]
    known = set(leaves(tomllib.loads(text("deploy/oneshelf.default.toml")), ""))
    return known | REQUIRED | {f"{name}.database.url" for name in SERVICES | {"access"}}


def test_every_variable_is_a_setting():
    for path in ["deploy/compose.yaml", "deploy/Dockerfile", "deploy/local/up", "helm/oneshelf/values-prod.yaml",
                 "helm/oneshelf/values.yaml", "helm/oneshelf/templates/deployment.yaml", "helm/oneshelf/templates/_helpers.tpl"]:
        for variable in re.findall(r"\bONESHELF__([A-Z0-9_]+[A-Z0-9])\b", text(path)):
            key = variable.lower().replace("__", ".")
            assert key in settings() or key == "section.key", f"{path}: ONESHELF__{variable} is not a setting"


def test_every_service_is_known_everywhere():
    compose = yaml.safe_load(text("deploy/compose.yaml"))
    values = yaml.safe_load(text("helm/oneshelf/values.yaml"))
    assert set(values["services"]) == SERVICES
    for name in SERVICES:
        assert f"'{name}_password'" in text("deploy/postgres/roles.sql"), name
        assert re.search(rf"^SERVICES=\(.*\b{name}\b", text("deploy/local/up"), re.M), name
        assert re.search(rf"^for name in .*\b{name}\b", text("deploy/postgres/init.sh"), re.M), name
        assert f"ONESHELF__{name.upper()}__DATABASE__URL" in compose["services"]["oneshelf"]["environment"], name


def test_compose_refers_to_what_exists():
    compose = yaml.safe_load(text("deploy/compose.yaml"))
    made = set(re.findall(r"\b([A-Z_]+_(?:PASSWORD|PEPPER|KEY))\b", text("deploy/compose-env")))
    made |= {f"{name}_PASSWORD" for name in ("POSTGRES", "ROLES", "REDIS", "RABBITMQ")}
    used = set(re.findall(r"\$\{([A-Z_]+)", text("deploy/compose.yaml")))
    assert used <= made, used - made
    for name, service in compose["services"].items():
        assert re.search(r":[^/]+$", service["image"]) and "latest" not in service["image"], f"{name}: the image is not pinned"
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), f"{name}: {source}"
        for other, condition in service.get("depends_on", {}).items():
            healthy = condition["condition"] == "service_healthy"
            assert not healthy or "healthcheck" in compose["services"][other], f"{name} waits for {other}"


def exported_metrics():
    # The binary's tools name a database and read metrics; they export none.
    folders = [ROOT / "crates"] + [ROOT / "services" / name for name in SERVICES]
    code = "\n".join(path.read_text() for folder in folders for path in folder.rglob("src/**/*.rs"))
    return set(re.findall(r'"(oneshelf_[a-z0-9_]+)"', code))


def test_every_metric_is_in_the_architectures_table_and_no_other():
    section = text("docs/ARCHITECTURE.md").split("\n## Telemetry")[1].split("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("|")][2:]
    listed = {f"oneshelf_{name}" for row in rows for name in re.findall(r"`([a-z0-9_]+)`", row[1])}
    assert listed == exported_metrics(), listed ^ exported_metrics()


def test_metrics_that_are_watched_exist():
    exported = exported_metrics()
    for path in ["deploy/prometheus/alerts.yml", "deploy/grafana/dashboards/oneshelf.json"]:
        for name in set(re.findall(r"\boneshelf_[a-z0-9_]+", text(path))):
            assert re.sub("_(bucket|sum|count)$", "", name) in exported, f"{path}: no code exports {name}"


def test_the_dashboard_is_whole():
    dashboard = json.loads(text("deploy/grafana/dashboards/oneshelf.json"))
    source = yaml.safe_load(text("deploy/grafana/provisioning/datasources/prometheus.yaml"))["datasources"][0]["uid"]
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24, f"{panel['title']} overlaps"
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == source and target["expr"].count("(") == target["expr"].count(")")
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_every_alert_says_what_to_do():
    rules = [rule for group in yaml.safe_load(text("deploy/prometheus/alerts.yml"))["groups"] for rule in group["rules"]]
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket") and set(rule["annotations"]) == {"summary", "action"}, rule["alert"]


def test_alerts_fire_when_they_should():
    promtool = shutil.which("promtool")
    if promtool:  # Debian's prometheus package has it
        subprocess.run([promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml"], check=True, capture_output=True)
        subprocess.run([promtool, "test", "rules", DEPLOY / "prometheus" / "alerts_test.yml"], check=True, capture_output=True)
    assert yaml.safe_load(text("deploy/prometheus/alerts_test.yml"))["rule_files"] == ["alerts.yml"]


def test_traces_have_a_way_through_the_collector():
    collector = yaml.safe_load(text("deploy/otel/collector.yaml"))
    for pipeline in collector["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            assert set(names) <= set(collector[kind]), f"{kind}: {names}"


def test_the_image_is_built_with_the_workspaces_compiler():
    wanted = tomllib.loads(text("Cargo.toml"))["workspace"]["package"]["rust-version"]
    assert re.search(rf"^FROM rust:{re.escape(wanted)}-", text("deploy/Dockerfile"), re.M)


def test_no_key_lies_about():
    for path in DEPLOY.rglob("*"):
        if path.is_file() and path.name != ".env":
            assert not re.search(r"\b[0-9a-f]{32}\b", path.read_text()), f"{path} looks as if it held a key"


def main():
    tests = [(name, function) for name, function in globals().items() if name.startswith("test_")]
    failed = 0
    for name, function in tests:
        try:
            function()
        except Exception as error:
            failed += 1
            print(f"FAILED {name}: {error!r}")
    print(f"deploy: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
