"""The repository's settings: what is PUT or POSTed is kept, and GET gives it back."""

from tests.github.exchange import Refusal, Reply, Request, listing


def _put(hub, request: Request, path: str) -> Reply:
    created = path not in hub.settings
    hub.settings[path] = request.json()
    if path.startswith("/environments/"):
        hub.settings[path] |= {"name": path.split("/")[2]}
        return Reply(hub.settings[path])
    return Reply(status=201 if created and path.startswith("/actions/variables") else 204)


def _get(hub, request: Request, path: str) -> Reply:
    if path not in hub.settings:
        raise Refusal(404, "Not Found")
    return Reply(hub.settings[path])


def switch(hub, request: Request, path: str) -> Reply:
    """Something that is on or off without a body."""
    if request.method == "GET":
        return Reply({"enabled": path in hub.settings})
    hub.settings.pop(path, None)
    if request.method == "PUT":
        hub.settings[path] = {}
    return Reply(status=204)


def kept(hub, request: Request, path: str) -> Reply:
    """One thing at one address."""
    if request.method in ("PUT", "PATCH"):
        return _put(hub, request, path)
    if request.method == "DELETE":
        hub.settings.pop(path, None)
        return Reply(status=204)
    return _get(hub, request, path)


def environments(hub, request: Request) -> Reply:
    found = [
        value for path, value in hub.settings.items() if path.startswith("/environments/") and path.count("/") == 2
    ]
    return listing(request, hub.at("environments"), found, "environments")


def rulesets(hub, request: Request) -> Reply:
    if request.method == "GET":
        found = [value for path, value in hub.settings.items() if path.startswith("/rulesets/")]
        return listing(
            request, hub.at("rulesets"), [{key: rule[key] for key in ("id", "name", "target")} for rule in found]
        )
    rule = {"target": "branch"} | request.json() | {"id": hub.next_id()}
    hub.settings[f"/rulesets/{rule['id']}"] = rule
    return Reply(rule, 201)


def variables(hub, request: Request) -> Reply:
    if request.method == "GET":
        found = [{"name": name, "value": value} for name, value in sorted(hub.variables.items())]
        return listing(request, hub.at("actions/variables"), found, "variables")
    asked = request.json()
    hub.variables[asked["name"]] = asked["value"]
    return Reply({}, 201)


def variable(hub, request: Request, name: str) -> Reply:
    if name not in hub.variables:
        raise Refusal(404, "Not Found")
    if request.method == "GET":
        return Reply({"name": name, "value": hub.variables[name]})
    old = hub.variables.pop(name)
    if request.method == "PATCH":
        hub.variables[name] = request.json().get("value", old)
    return Reply(status=204)


def policies(hub, request: Request, path: str) -> Reply:
    """Which branches and tags may be deployed to an environment."""
    found = hub.settings.setdefault(path, [])
    if request.method == "POST":
        found.append(request.json() | {"id": hub.next_id()})
        return Reply(found[-1])
    return listing(request, hub.at(path[1:]), found, "branch_policies")


ROUTES = (
    ("GET", r"/environments", environments),
    ("(?:GET|POST)", r"(/environments/[^/]+/deployment-branch-policies)", policies),
    ("(?:GET|PUT|DELETE)", r"(/environments/[^/]+)", kept),
    ("(?:GET|POST)", r"/rulesets", rulesets),
    ("(?:GET|PUT|DELETE)", r"(/rulesets/\d+)", kept),
    ("(?:GET|POST)", r"/actions/variables", variables),
    ("(?:GET|PATCH|DELETE)", r"/actions/variables/([^/]+)", variable),
    ("(?:GET|PUT)", r"(/actions/permissions(?:/.*)?)", kept),
    ("(?:GET|PUT|DELETE)", r"(/private-vulnerability-reporting)", switch),
)
