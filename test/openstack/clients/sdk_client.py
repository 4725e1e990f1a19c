"""Calls methods of openstacksdk's accelerator proxy: [method, arguments, named arguments] on a line."""

import json
import sys
import types

import openstack
from openstack import exceptions, resource

connection = openstack.connect()


def plain(value):
    if isinstance(value, types.GeneratorType):
        return [plain(one) for one in value]
    return value.to_dict() if isinstance(value, resource.Resource) else value


for line in sys.stdin:
    method, args, named = json.loads(line)
    try:
        answer = {"value": plain(getattr(connection.accelerator, method)(*args, **named))}
    except exceptions.SDKException as error:
        status = getattr(error, "status_code", None)
        answer = {"error": type(error).__name__, "status": status, "message": str(error)}
    print(json.dumps(answer), flush=True)
