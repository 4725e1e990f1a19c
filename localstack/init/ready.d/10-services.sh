#!/bin/sh
# Says at once, in the emulator's log, which service the stack needs and this emulator lacks;
# otherwise the deployment fails minutes later inside CloudFormation.
python3 - <<'PY'
import json
import urllib.request

needed = ["apigateway", "cloudformation", "dynamodb", "events", "lambda", "s3", "sqs"]
for path in ("/_localstack/health", "/_ministack/health"):
    try:
        with urllib.request.urlopen("http://localhost:4566" + path, timeout=5) as answer:
            known = json.load(answer).get("services", {})
    except (OSError, ValueError):
        continue
    missing = [name for name in needed if not any(key.startswith(name) for key in known)]
    print("gatehouse: missing services: " + ", ".join(missing) if missing else "gatehouse: ready for npm run deploy:local", flush=True)
    break
else:
    print("gatehouse: this emulator does not report its services", flush=True)
PY
