#!/usr/bin/env python3
"""What must hold of docker-compose.temporal.yml and deploy/kubernetes, and shows in no run here: there is neither engine nor cluster.

Needs PyYAML. Prints every fault, and ends with 1 if there is one.
"""

import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMPOSE = ROOT / "docker-compose.temporal.yml"
KUBERNETES = ROOT / "deploy/kubernetes"
PROMETHEUS = ROOT / "deploy/prometheus"
EXAMPLES = {"secrets.example.yaml"}
# Seconds that running activities have to end (worker/src/lib.rs), and requests under way (api/src/serving.rs).
GRACE = {"worker": 20, "api": 10}

faults = []


def check(holds, fault):
    if not holds:
        faults.append(fault)


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def known_variables():
    """The variables that .env.example names, set or commented out."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    matches = (re.match(r"#?([A-Z][A-Z0-9_]*)=", line) for line in lines)
    return {match[1] for match in matches if match}


def check_variables(names, where):
    # Temporal's own are the SDK's to describe: .env.example names the usual ones.
    unknown = {name for name in names if not name.startswith("TEMPORAL_TLS_")} - known_variables()
    check(not unknown, f"{where}: {', '.join(sorted(unknown))} not in .env.example")


def is_pinned(image):
    tag = image.rpartition(":")[2] if ":" in image else ""
    return bool(re.search(r"\d", tag)) or tag == "local"


def check_compose():
    text = COMPOSE.read_text()
    check_variables(re.findall(r"\$\{([A-Z0-9_]+)", text), COMPOSE.name)
    for name, service in yaml.safe_load(text)["services"].items():
        where = f"{COMPOSE.name}: {name}"
        check(is_pinned(service["image"]), f"{where}: {service['image']} names no version")
        check("restart" in service, f"{where}: no restart policy")
        if service.get("restart") == "unless-stopped":
            check("healthcheck" in service, f"{where}: goes on, but has no health check")
        if "build" in service:
            check_variables(service["environment"], where)
            check(service.get("read_only") and service.get("cap_drop") == ["ALL"], f"{where}: not confined")
            has_tokens = any(variable.startswith("DO_API_TOKEN") for variable in service["environment"])
            check(has_tokens == (name == "worker"), f"{where}: DigitalOcean's tokens are the worker's, and nobody else's")
        for _, condition in service.get("depends_on", {}).items():
            check("condition" in condition, f"{where}: depends on a service, but not on how it is")
        if name in GRACE:
            grace = int(service.get("stop_grace_period", "10s").removesuffix("s"))
            check(grace > GRACE[name], f"{where}: killed after {grace} s, but takes {GRACE[name]} s to end")


def check_pod(where, name, template, kustomization):
    pod = template["spec"]
    security = pod.get("securityContext", {})
    check(security.get("runAsNonRoot") and security.get("runAsUser", 0) > 0, f"{where}: may run as root")
    check(security.get("seccompProfile") == {"type": "RuntimeDefault"}, f"{where}: no seccomp profile")
    check(pod.get("automountServiceAccountToken") is False, f"{where}: has a token of the cluster")
    generated = {map["name"]: map["literals"] for map in kustomization["configMapGenerator"]}
    mounted = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        check("limits" in container["resources"] and "requests" in container["resources"], f"{where}: takes what it likes")
        confined = container.get("securityContext", {})
        check(
            confined.get("readOnlyRootFilesystem")
            and confined.get("allowPrivilegeEscalation") is False
            and confined.get("capabilities") == {"drop": ["ALL"]},
            f"{where}: not confined",
        )
        images = {image["name"]: image for image in kustomization["images"]}
        image = images.get(container["image"])
        check(image and is_pinned(f":{image['newTag']}"), f"{where}: {container['image']} names no version")
        variables = {variable["name"]: variable.get("value") for variable in container.get("env", [])}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                literals = generated.get(source["configMapRef"]["name"])
                check(literals is not None, f"{where}: there is no ConfigMap {source['configMapRef']['name']}")
                variables |= dict(literal.split("=", 1) for literal in literals or [])
        check_variables(variables, where)
        mounts = container.get("volumeMounts", [])
        check({mount["name"] for mount in mounts} <= mounted, f"{where}: mounts what is no volume")
        for variable, value in variables.items():
            if variable.endswith("_FILE"):
                is_there = any(value.startswith(mount["mountPath"] + "/") for mount in mounts)
                check(is_there, f"{where}: {variable} is below no mount")
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                check(container[probe]["httpGet"]["port"] in ports, f"{where}: {probe} asks no port of its own")
    if name in GRACE:
        check("livenessProbe" in pod["containers"][0], f"{where}: no liveness probe")
        grace = pod.get("terminationGracePeriodSeconds", 30)
        check(grace > GRACE[name] + 5, f"{where}: killed after {grace} s, but takes {GRACE[name]} s to end")


def check_kubernetes():
    kustomization = documents(KUBERNETES / "kustomization.yaml")[0]
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - EXAMPLES - {"kustomization.yaml"}
    check(set(kustomization["resources"]) == files, "kustomization.yaml: its resources are not the files beside it")
    objects = [document for file in sorted(files) for document in documents(KUBERNETES / file)]
    for example in EXAMPLES:
        secrets = documents(KUBERNETES / example)
        check(all(secret["kind"] == "Secret" for secret in secrets), f"{example}: not only secrets")
        known = {(secret["metadata"]["name"], key) for secret in secrets for key in secret["stringData"]}
    labels = {}
    for document in objects:
        kind, name = document["kind"], document["metadata"]["name"]
        where = f"{kind} {name}"
        check(kind != "Secret", f"{where}: a secret is no part of a repository")
        if kind in ("Deployment", "Job"):
            template = document["spec"]["template"]
            labels[name] = template["metadata"]["labels"]
            check_pod(where, name, template, kustomization)
            for container in template["spec"]["containers"]:
                for variable in container.get("env", []):
                    key = variable["valueFrom"]["secretKeyRef"]
                    check((key["name"], key["key"]) in known, f"{where}: secrets.example.yaml has no {key}")
    for document in objects:
        spec = document.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        wanted = selector.get("matchLabels", selector)
        selected = any(wanted.items() <= have.items() for have in labels.values())
        check(selected or not wanted, f"{document['kind']} {document['metadata']['name']}: selects no pod")


def port_of(address):
    return int(address.rpartition(":")[2])


def check_scraping():
    """That Prometheus finds what the alerts are about, under the names that they use."""
    alerts = (PROMETHEUS / "alerts.yml").read_text()
    wanted = set(re.findall(r'job="([^"]+)"', alerts))
    check(wanted, "alerts.yml: names no job")
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    kustomization = documents(KUBERNETES / "kustomization.yaml")[0]
    objects = [document for file in kustomization["resources"] for document in documents(KUBERNETES / file)]
    running = {document["metadata"]["name"]: document["spec"]["template"] for document in objects if document["kind"] == "Deployment"}
    bound = {
        map["name"]: literal.partition("=")[2]
        for map in kustomization["configMapGenerator"]
        for literal in map["literals"]
        if literal.startswith("ARCADIA_METRICS_BIND=")
    }
    for file in ("prometheus.yml", "kubernetes.yml"):
        jobs = {job["job_name"]: job for job in documents(PROMETHEUS / file)[0]["scrape_configs"]}
        check(wanted == set(jobs), f"{file}: its jobs are not those of the alerts, {', '.join(sorted(wanted))}")
        for name, job in jobs.items():
            part = name.removeprefix("arcadia-")
            where = f"{file}: {name}"
            for found in job.get("dns_sd_configs", []):
                service = services.get(part, {})
                bind = service.get("environment", {}).get("ARCADIA_METRICS_BIND", "")
                check(found["names"] == [part] and bind, f"{where}: finds no service that serves metrics")
                check(not bind or found["port"] == port_of(bind), f"{where}: asks another port than {bind}")
            for found in job.get("kubernetes_sd_configs", []):
                namespaces = found["namespaces"]["names"]
                check(namespaces == [kustomization["namespace"]], f"{where}: looks in {namespaces}")
                labels = dict(pair.split("=") for selector in found["selectors"] for pair in selector["label"].split(","))
                pods = {pod for pod, template in running.items() if labels.items() <= template["metadata"]["labels"].items()}
                check(pods == {part}, f"{where}: finds the pods of {sorted(pods)}")
                kept = [rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"]
                for pod in pods:
                    ports = {
                        port["name"]: port["containerPort"]
                        for container in running[pod]["spec"]["containers"]
                        for port in container["ports"]
                    }
                    is_served = len(kept) == 1 and ports.get(kept[0]) == port_of(bound.get(f"arcadia-{part}", ":0"))
                    check(is_served, f"{where}: keeps no port on which metrics are served")
            check(job.keys() & {"dns_sd_configs", "kubernetes_sd_configs"}, f"{where}: finds nothing")


for path in sorted([COMPOSE, *ROOT.glob("deploy/**/*.yaml"), *ROOT.glob("deploy/**/*.yml")]):
    try:
        documents(path)
    except yaml.YAMLError as error:
        faults.append(f"{path.relative_to(ROOT)}: {error}")
if not faults:
    check_compose()
    check_kubernetes()
    check_scraping()
for fault in faults:
    print(fault)
print(f"deployment: {len(faults)} faults")
sys.exit(bool(faults))
