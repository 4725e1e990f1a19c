"""Calls methods of Nova's own accelerator client: [method, arguments, named arguments] on a line.
Arguments of the program: a configuration file and the token of the user whose server it is."""

import json
import sys
import types

from nova import context, exception, objects
from nova.accelerator import cyborg
from nova.conf import CONF

config, token = sys.argv[1:]
CONF([], project="nova", default_config_files=[config])
objects.register_all()
client = cyborg.get_client(context.RequestContext(auth_token=token))


def plain(value):
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, objects.RequestGroup):
        return {
            "requester": value.requester_id,
            "resources": value.resources,
            "required": sorted(value.required_traits),
            "forbidden": sorted(value.forbidden_traits),
        }
    return value


for line in sys.stdin:
    method, args, named = json.loads(line)
    if method == "get_arq_uuids_for_instance":
        args = [types.SimpleNamespace(uuid=args[0])]
    try:
        answer = {"value": plain(getattr(client, method)(*args, **named))}
    except exception.NovaException as error:
        answer = {"error": type(error).__name__, "message": str(error)}
    print(json.dumps(answer), flush=True)
