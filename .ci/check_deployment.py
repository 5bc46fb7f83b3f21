#!/usr/bin/env python3
"""Checks rules for docker-compose.temporal.yml, deploy/kubernetes and deploy/prometheus without a Docker engine or cluster.

Needs PyYAML. Prints every fault, and exits with 1 if there is one.
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
# Seconds for running activities to end (worker/src/lib.rs), and for requests in progress (api/src/serving.rs).
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
    # The SDK documents Temporal's variables; .env.example names the usual ones.
    unknown = {name for name in names if not name.startswith("TEMPORAL_TLS_")} - known_variables()
    check(not unknown, f"{where}: add {', '.join(sorted(unknown))} to .env.example")


SECRET = re.compile(r"(PASSWORD|PWD|SECRET|SECRET_ID|SECRET_ACCESS_KEY|TOKEN|API_KEY|KEY_DATA)(_CLOUD_(SYNC_FULL|SYNC_FAST|BILLING))?$")
# Compose refuses to start without a value, or uses an empty value unless .env has one.
REQUIRED = re.compile(r"\$\{[A-Z0-9_]+:\?[^}]+\}")
OPTIONAL = re.compile(r"\$\{[A-Z0-9_]+(:-)?\}")


def check_secret(name, value, where):
    """Checks that a variable with a secret takes its value from outside, without a default."""
    if not SECRET.search(name):
        return
    source = str(value or "")
    holds = not source or REQUIRED.fullmatch(source) or OPTIONAL.fullmatch(source)
    check(holds, f"{where}: {name} has the default {source!r}; write ${{{name}:?set {name} in .env}}")
    if re.search(r"PASSWORD|PWD", name):
        check(REQUIRED.fullmatch(source), f"{where}: {name} may be empty; write ${{{name}:?set {name} in .env}}")


def check_passwords():
    """Checks that no password has a default: the installer generates it, and an empty one is refused."""
    files = [COMPOSE, ROOT / ".env.example", *sorted(path for path in ROOT.glob("deploy/**/*") if path.is_file())]
    for path in files:
        text, where = path.read_text(), str(path.relative_to(ROOT))
        for user, password in re.findall(r"://([^:/@\s]+):((?:\$\{[^}]*\}|[^@/\s])+)@", text):
            holds = password == "PASSWORD" or REQUIRED.fullmatch(password)
            check(holds, f"{where}: the URL of {user} has the password {password!r}; write PASSWORD or ${{NAME:?...}}")
        if path.suffix == ".sh":
            for name in set(re.findall(r"\$\{?([A-Z_]*PASSWORD)\b", text)):
                check(f"${{{name}:?" in text, f"{where}: {name} may be empty; write : \"${{{name}:?is empty}}\"")
    for line in (ROOT / ".env.example").read_text().splitlines():
        match = re.fullmatch(r"#?([A-Z][A-Z0-9_]*)=(.*)", line)
        if match and SECRET.search(match[1]):
            check(not match[2], f".env.example: {match[1]} has the value {match[2]!r}; leave it empty")


def has_version(image):
    tag = image.rpartition(":")[2] if ":" in image else ""
    return bool(re.search(r"\d", tag)) or tag == "local"


def check_compose():
    text = COMPOSE.read_text()
    check_variables(re.findall(r"\$\{([A-Z0-9_]+)", text), COMPOSE.name)
    for name, service in yaml.safe_load(text)["services"].items():
        where = f"{COMPOSE.name}: {name}"
        for variable, value in service.get("environment", {}).items():
            check_secret(variable, value, where)
        check(has_version(service["image"]), f"{where}: {service['image']} has no version tag; add one")
        check("restart" in service, f"{where}: no restart policy; add restart")
        if service.get("restart") == "unless-stopped":
            check("healthcheck" in service, f"{where}: a long-running service without a health check; add one")
        if "build" in service:
            check_variables(service["environment"], where)
            check(service.get("read_only") and service.get("cap_drop") == ["ALL"], f"{where}: not confined; set read_only and cap_drop: [ALL]")
            has_tokens = any(variable.startswith("DO_API_TOKEN") for variable in service["environment"])
            check(has_tokens == (name == "worker"), f"{where}: DigitalOcean's tokens belong to the worker only")
        for _, condition in service.get("depends_on", {}).items():
            check("condition" in condition, f"{where}: depends_on without a condition; add one")
        if name in GRACE:
            grace = int(service.get("stop_grace_period", "10s").removesuffix("s"))
            check(grace > GRACE[name], f"{where}: stop_grace_period is {grace} s, but {name} needs {GRACE[name]} s; raise it")


def check_pod(where, name, template, kustomization):
    pod = template["spec"]
    security = pod.get("securityContext", {})
    check(security.get("runAsNonRoot") and security.get("runAsUser", 0) > 0, f"{where}: may run as root; set runAsNonRoot and runAsUser")
    check(security.get("seccompProfile") == {"type": "RuntimeDefault"}, f"{where}: no seccomp profile; set RuntimeDefault")
    check(pod.get("automountServiceAccountToken") is False, f"{where}: has a token of the cluster; set automountServiceAccountToken: false")
    generated = {map["name"]: map["literals"] for map in kustomization["configMapGenerator"]}
    mounted = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod["containers"]:
        check("limits" in container["resources"] and "requests" in container["resources"], f"{where}: resources without requests or limits; set both")
        confined = container.get("securityContext", {})
        check(
            confined.get("readOnlyRootFilesystem")
            and confined.get("allowPrivilegeEscalation") is False
            and confined.get("capabilities") == {"drop": ["ALL"]},
            f"{where}: not confined; set readOnlyRootFilesystem, allowPrivilegeEscalation: false and drop ALL",
        )
        images = {image["name"]: image for image in kustomization["images"]}
        image = images.get(container["image"])
        check(image and has_version(f":{image['newTag']}"), f"{where}: {container['image']} has no version tag; add one")
        variables = {variable["name"]: variable.get("value") for variable in container.get("env", [])}
        for source in container.get("envFrom", []):
            if "configMapRef" in source:
                literals = generated.get(source["configMapRef"]["name"])
                check(literals is not None, f"{where}: ConfigMap {source['configMapRef']['name']} does not exist")
                variables |= dict(literal.split("=", 1) for literal in literals or [])
        check_variables(variables, where)
        for variable, value in variables.items():
            check(not (SECRET.search(variable) and value), f"{where}: {variable} is a secret; take it from a Secret")
        mounts = container.get("volumeMounts", [])
        check({mount["name"] for mount in mounts} <= mounted, f"{where}: mounts a volume that does not exist")
        for variable, value in variables.items():
            if variable.endswith("_FILE"):
                is_there = any(value.startswith(mount["mountPath"] + "/") for mount in mounts)
                check(is_there, f"{where}: {variable} is not below a mount")
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                check(container[probe]["httpGet"]["port"] in ports, f"{where}: {probe} uses a port that the container does not declare")
    if name in GRACE:
        check("livenessProbe" in pod["containers"][0], f"{where}: no liveness probe; add one")
        grace = pod.get("terminationGracePeriodSeconds", 30)
        check(grace > GRACE[name] + 5, f"{where}: terminationGracePeriodSeconds is {grace}, but {name} needs {GRACE[name]} s; raise it")


def check_kubernetes():
    kustomization = documents(KUBERNETES / "kustomization.yaml")[0]
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - EXAMPLES - {"kustomization.yaml"}
    check(set(kustomization["resources"]) == files, "kustomization.yaml: resources differ from the files in its directory")
    objects = [document for file in sorted(files) for document in documents(KUBERNETES / file)]
    for example in EXAMPLES:
        secrets = documents(KUBERNETES / example)
        check(all(secret["kind"] == "Secret" for secret in secrets), f"{example}: contains an object that is not a Secret")
        known = {(secret["metadata"]["name"], key) for secret in secrets for key in secret["stringData"]}
    labels = {}
    for document in objects:
        kind, name = document["kind"], document["metadata"]["name"]
        where = f"{kind} {name}"
        check(kind != "Secret", f"{where}: remove the secret from the repository")
        if kind in ("Deployment", "Job"):
            template = document["spec"]["template"]
            labels[name] = template["metadata"]["labels"]
            check_pod(where, name, template, kustomization)
            for container in template["spec"]["containers"]:
                for variable in container.get("env", []):
                    key = variable["valueFrom"]["secretKeyRef"]
                    check((key["name"], key["key"]) in known, f"{where}: {key} is missing in secrets.example.yaml")
    for document in objects:
        spec = document.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        expected = selector.get("matchLabels", selector)
        selected = any(expected.items() <= pod.items() for pod in labels.values())
        check(selected or not expected, f"{document['kind']} {document['metadata']['name']}: selects no pod")


def port_of(address):
    return int(address.rpartition(":")[2])


def check_scraping():
    """Checks that Prometheus scrapes the jobs of the alerts."""
    alerts = (PROMETHEUS / "alerts.yml").read_text()
    expected = set(re.findall(r'job="([^"]+)"', alerts))
    check(expected, "alerts.yml: no expression with a job")
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
        check(expected == set(jobs), f"{file}: its jobs differ from those of the alerts: {', '.join(sorted(expected))}")
        for name, job in jobs.items():
            part = name.removeprefix("arcadia-")
            where = f"{file}: {name}"
            for found in job.get("dns_sd_configs", []):
                service = services.get(part, {})
                bind = service.get("environment", {}).get("ARCADIA_METRICS_BIND", "")
                check(found["names"] == [part] and bind, f"{where}: discovers no service with ARCADIA_METRICS_BIND")
                check(not bind or found["port"] == port_of(bind), f"{where}: scrapes another port than {bind}")
            for found in job.get("kubernetes_sd_configs", []):
                namespaces = found["namespaces"]["names"]
                check(namespaces == [kustomization["namespace"]], f"{where}: searches the namespaces {namespaces}, expected {kustomization['namespace']}")
                labels = dict(pair.split("=") for selector in found["selectors"] for pair in selector["label"].split(","))
                pods = {pod for pod, template in running.items() if labels.items() <= template["metadata"]["labels"].items()}
                check(pods == {part}, f"{where}: selects the pods of {sorted(pods)}, expected {part}")
                kept = [rule["regex"] for rule in job["relabel_configs"] if rule.get("action") == "keep"]
                for pod in pods:
                    ports = {
                        port["name"]: port["containerPort"]
                        for container in running[pod]["spec"]["containers"]
                        for port in container["ports"]
                    }
                    is_served = len(kept) == 1 and ports.get(kept[0]) == port_of(bound.get(f"arcadia-{part}", ":0"))
                    check(is_served, f"{where}: does not keep the metrics port")
            check(job.keys() & {"dns_sd_configs", "kubernetes_sd_configs"}, f"{where}: no service discovery")


for path in sorted([COMPOSE, *ROOT.glob("deploy/**/*.yaml"), *ROOT.glob("deploy/**/*.yml")]):
    try:
        documents(path)
    except yaml.YAMLError as error:
        faults.append(f"{path.relative_to(ROOT)}: {error}")
if not faults:
    check_compose()
    check_passwords()
    check_kubernetes()
    check_scraping()
for fault in faults:
    print(fault)
print(f"deployment: {len(faults)} faults")
sys.exit(bool(faults))
