"""Send name and SHA-256 of each subject, and the predicate if there is one, to the attestations of the local GitHub."""

import hashlib
import json
import os
import sys
import urllib.request
from pathlib import Path

if os.environ["CHECKSUMS"]:
    lines = Path(os.environ["CHECKSUMS"]).read_text(encoding="utf-8").splitlines()
    subjects = {name.strip(): digest for digest, name in (line.split(maxsplit=1) for line in lines)}
else:
    files = [path for line in os.environ["PATHS"].splitlines() for path in Path().glob(line.strip())]
    subjects = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()}
if not subjects:
    sys.exit("One of subject-path or subject-checksums must be provided")
predicate = json.loads(Path(os.environ["PREDICATE"]).read_text(encoding="utf-8")) if os.environ["PREDICATE"] else None
told = {"subjects": subjects, "kind": os.environ["KIND"], "predicate": predicate, "run": os.environ["GITHUB_RUN_ID"]}
body = json.dumps(told).encode()
address = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}/attestations"
urllib.request.urlopen(urllib.request.Request(address, body, {"Authorization": f"Bearer {os.environ['TOKEN']}"}))
print(f"Attestation created for {len(subjects)} subjects")
